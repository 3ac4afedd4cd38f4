package crash

import (
	"flag"
	"syscall"
	"testing"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

var flagFaults = flag.Int("crash.faults", 6, "workloads with each kind of fault")

// inject arms faults that strike after the same number of operations each.
func inject(fs ...sim.Fault) func(*sim.Disk, int) func() int {
	return func(d *sim.Disk, after int) func() int {
		var all []*sim.Injection
		for _, f := range fs {
			f.After = after
			all = append(all, d.Inject(f))
		}
		return func() (n int) {
			for _, j := range all {
				n += j.Hits()
			}
			return n
		}
	}
}

func clearFaults(d *sim.Disk) { d.ClearFaults() }

const anyLog = "*.wal"

func faultTable() []fault {
	one := func(name string, c Check, within int, fs ...sim.Fault) fault {
		return fault{name: name, check: c, within: within, inject: inject(fs...), heal: clearFaults}
	}
	table := []fault{
		one("write-eio-once", FailedWrite, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog}),
		one("write-eio-twice", FailedWrite, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog, Times: 2}),
		one("write-eio-forever", FailedWrite, 40, sim.Fault{Op: sim.OpWrite, Times: sim.Forever}),
		one("write-short-eio", FailedWrite, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog, Short: true}),
		one("sync-eio-once", FailedWrite, 40, sim.Fault{Op: sim.OpSync, Name: anyLog}),
		one("sync-eio-gate", FailedWrite, 40, sim.Fault{Op: sim.OpSync, Name: anyLog, Gate: true}),
		one("sync-eio-gate-forever", FailedWrite, 40, sim.Fault{Op: sim.OpSync, Gate: true, Times: sim.Forever}),
		one("filesync-eio-gate", FailedWrite, 8, sim.Fault{Op: sim.OpFileSync, Gate: true}),
		one("dirsync-eio", FailedWrite, 8, sim.Fault{Op: sim.OpDirSync}),
		one("rename-eio", FailedWrite, 8, sim.Fault{Op: sim.OpRename}),
		one("remove-eio", FailedWrite, 4, sim.Fault{Op: sim.OpRemove}),
		one("create-eio", FailedWrite, 4, sim.Fault{Op: sim.OpCreate}),
		one("resize-eio", FailedWrite, 6, sim.Fault{Op: sim.OpResize}),
		one("submit-eio", FailedWrite, 40, sim.Fault{Op: sim.OpSubmit}),
		one("wait-eio", FailedWrite, 60, sim.Fault{Op: sim.OpWait}),
		one("buffer-eio", FailedWrite, 6, sim.Fault{Op: sim.OpBuffer}),
		one("header-eio", FailedWrite, 6, sim.Fault{Op: sim.OpSync, Name: "*.tmp"}),
		one("write-enospc-once", NoSpace, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog, Err: syscall.ENOSPC}),
		one("write-enospc-thrice", NoSpace, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog, Err: syscall.ENOSPC, Times: 3}),
		one("write-short-enospc", NoSpace, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog, Err: syscall.ENOSPC, Short: true}),
		one("write-efbig", NoSpace, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog, Err: syscall.EFBIG, Short: true}),
		one("sync-enospc", NoSpace, 40, sim.Fault{Op: sim.OpSync, Name: anyLog, Err: syscall.ENOSPC}),
		one("create-enospc", NoSpace, 4, sim.Fault{Op: sim.OpCreate, Err: syscall.ENOSPC, Times: 2}),
		one("resize-enospc", NoSpace, 4, sim.Fault{Op: sim.OpResize, Err: syscall.ENOSPC}),
	}
	full := fault{name: "disk-full", check: NoSpace, within: 40,
		heal: func(d *sim.Disk) { d.SetCapacity(0) },
		inject: func(d *sim.Disk, after int) func() int {
			d.SetCapacity(int64(after+2) << 13)
			return func() int { return 1 }
		}}
	readOnly := fault{name: "erofs", check: FailedWrite, within: 100,
		heal: func(d *sim.Disk) { d.BeforeOp(nil); d.ReadOnly(false) },
		inject: func(d *sim.Disk, after int) func() int {
			d.BeforeOp(func(sim.OpInfo) {
				if d.Ops() >= after {
					d.ReadOnly(true)
				}
			})
			return func() int { return max(0, d.Ops()-after) }
		}}
	read := one("read-eio", FailedWrite, 8, sim.Fault{Op: sim.OpRead})
	read.unreadable = true
	// A directory's entry that its sync lost looks as if it were there, and no sync of
	// another process tells: only a crash does.
	gate := one("dirsync-eio-gate", FailedWrite, 8, sim.Fault{Op: sim.OpDirSync, Gate: true})
	gate.reboot = true
	often := one("write-eio-often", FailedWrite, 40, sim.Fault{Op: sim.OpWrite, Name: anyLog, Times: 9})
	often.modes = []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch}
	// In mode periodic the sync is one for itself, of records that are acknowledged.
	periodic := one("periodic-sync-eio-gate", FailedWrite, 6, sim.Fault{Op: sim.OpSync, Name: anyLog, Gate: true})
	periodic.modes = []wal.FsyncMode{wal.FsyncPeriodic}
	return append(table, full, readOnly, read, gate, often, periodic)
}

// TestFaults lets things go wrong on the disk while a workload runs: nothing that failed is
// acknowledged, nothing that was acknowledged is lost, and the log works again afterwards.
func TestFaults(t *testing.T) {
	for _, f := range faultTable() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			strikes := 0
			for i := range *flagFaults {
				_, n, v := runFault(f, *flagSeed+uint64(i), plain)
				strikes += n
				if v != nil {
					t.Fatal(v)
				}
			}
			if strikes == 0 && *flagFaults > 4 {
				t.Errorf("the fault never struck in %d workloads", *flagFaults)
			}
		})
	}
}

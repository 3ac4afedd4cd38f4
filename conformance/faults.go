package conformance

import (
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/chronik-go/wal/conformance/internal/faultfs"
)

// fault is a way in which a file system fails, and what the log promises all the same.
type fault struct {
	name, says string
	// rules are what fails in a round, nil: nothing but the crash.
	rules func(r *rand.Rand) []faultfs.Rule
	// losses are what crashes take, nil: anything.
	losses []faultfs.Loss
	// scene: the check is one of its own, see scenes.
	scene bool
	// lies: what is acknowledged may be lost, but only so that it shows.
	lies bool
}

// once fails one operation, after a few of its kind, with one of some errors.
func once(op string, after int, errnos ...syscall.Errno) func(*rand.Rand) []faultfs.Rule {
	return func(r *rand.Rand) []faultfs.Rule {
		return []faultfs.Rule{{Op: op, Errno: errnos[r.IntN(len(errnos))], After: r.IntN(after + 1), Count: 1}}
	}
}

// always fails all operations of a kind from some moment on.
func always(op string, errno syscall.Errno, after int) func(*rand.Rand) []faultfs.Rule {
	return func(r *rand.Rand) []faultfs.Rule {
		return []faultfs.Rule{{Op: op, Errno: errno, After: r.IntN(after + 1)}}
	}
}

// sometimes fails some of the operations of a kind.
func sometimes(op string, percent int, errno syscall.Errno) func(*rand.Rand) []faultfs.Rule {
	return func(*rand.Rand) []faultfs.Rule {
		return []faultfs.Rule{{Op: op, Errno: errno, Percent: percent}}
	}
}

// outOfSpace is a disk that is full from some moment on, or a quota that is used up.
func outOfSpace(errno syscall.Errno) func(*rand.Rand) []faultfs.Rule {
	return func(r *rand.Rand) []faultfs.Rule {
		n := r.IntN(20)
		return []faultfs.Rule{{Op: faultfs.OpWrite, Errno: errno, After: n}, {Op: faultfs.OpAllocate, Errno: errno, After: n / 10}}
	}
}

// readOnly is a file system that the kernel has made read-only.
func readOnly(r *rand.Rand) []faultfs.Rule {
	n := r.IntN(20)
	var list []faultfs.Rule
	for _, op := range []string{
		faultfs.OpWrite, faultfs.OpAllocate, faultfs.OpTruncate, faultfs.OpCreate, faultfs.OpRename, faultfs.OpRemove,
	} {
		list = append(list, faultfs.Rule{Op: op, Errno: syscall.EROFS, After: n})
	}
	return list
}

// lie makes syncs of a kind return without doing anything.
func lie(op string) func(*rand.Rand) []faultfs.Rule {
	return func(r *rand.Rand) []faultfs.Rule {
		return []faultfs.Rule{{Op: op, Lie: true, After: r.IntN(10), Percent: 10 + r.IntN(91)}}
	}
}

// faults are those of the layer fuse.
var faults = []fault{
	{
		name: "UnsyncedLost", losses: []faultfs.Loss{faultfs.Everything},
		says: "what is acknowledged does not depend on anything unsynced: content, sizes or names (G1, G2)",
	},
	{
		name: "TornWrites", losses: []faultfs.Loss{faultfs.Tail, faultfs.Some},
		says: "a write of which only some sectors arrived is cut off, and nothing of it comes back (G2, G3, G4, G6)",
	},
	{
		name: "HolesBeforeData", losses: []faultfs.Loss{faultfs.Holes},
		says: "whole frames behind a hole do not count, and never come back (G2, G4, G6)",
	},
	{
		name: "NamesLost", losses: []faultfs.Loss{faultfs.Names},
		says: "names made, changed or removed since the last sync of the directory survive or not, each by itself (G1, G2, G4)",
	},
	{
		name: "SyncFailsOnce", rules: once(faultfs.OpSync, 20, syscall.EIO),
		says: "a sync that fails, and then succeeds without what was lost, acknowledges nothing that was lost (G7)",
	},
	{
		name: "SyncFailsForever", rules: always(faultfs.OpSync, syscall.EIO, 20),
		says: "no sync succeeds any more: nothing more is acknowledged (G7)",
	},
	{
		name: "SyncFailsSometimes", rules: sometimes(faultfs.OpSync, 15, syscall.EIO),
		says: "syncs that fail at random acknowledge nothing that was lost (G7)",
	},
	{
		name: "SyncFailsInRecovery", rules: once(faultfs.OpSync, 2, syscall.EIO),
		says: "a sync fails, the machine crashes, a sync of the recovery fails, and it crashes again (G5, G7)",
	},
	{
		name: "SyncNoSpace", rules: once(faultfs.OpSync, 20, syscall.ENOSPC),
		says: "a sync that finds no space, as with delayed allocation, is a failed sync (G7, G8)",
	},
	{
		name: "SyncDirFails", rules: once(faultfs.OpSyncDir, 3, syscall.EIO, syscall.ENOSPC, syscall.EDQUOT),
		says: "nothing is acknowledged that depends on a name that is not durable (G7)",
	},
	{
		name: "WriteFailsOnce", rules: once(faultfs.OpWrite, 40, syscall.EIO),
		says: "a write that fails is not acknowledged, unless it was written once more elsewhere (G7)",
	},
	{
		name: "WriteFailsForever", rules: always(faultfs.OpWrite, syscall.EIO, 40),
		says: "no write succeeds any more: what is acknowledged stays (G7)",
	},
	{
		name: "WriteShort",
		rules: func(*rand.Rand) []faultfs.Rule {
			return []faultfs.Rule{{Op: faultfs.OpWrite, Short: true, Percent: 30}}
		},
		says: "a short write is finished or reported (G8)",
	},
	{
		name: "DiskFull", rules: outOfSpace(syscall.ENOSPC),
		says: "a full disk acknowledges nothing false and loses nothing (G8)",
	},
	{
		name: "QuotaExceeded", rules: outOfSpace(syscall.EDQUOT),
		says: "a quota that is used up acknowledges nothing false and loses nothing (G8)",
	},
	{
		name: "ReadOnlyFileSystem", rules: readOnly,
		says: "a file system that becomes read-only acknowledges nothing false and loses nothing (G7)",
	},
	{
		name: "AllocateFails", rules: once(faultfs.OpAllocate, 2, syscall.EIO, syscall.EOPNOTSUPP),
		says: "space that cannot be reserved loses nothing (G7, G8)",
	},
	{
		name: "CreateFails", rules: once(faultfs.OpCreate, 2, syscall.EIO, syscall.ENOSPC, syscall.EDQUOT),
		says: "a file that cannot be made loses nothing (G7)",
	},
	{
		name: "RenameFails", rules: once(faultfs.OpRename, 1, syscall.EIO, syscall.ENOSPC, syscall.EDQUOT),
		says: "a file that cannot be renamed loses nothing (G7)",
	},
	{
		name: "TruncateFails", rules: once(faultfs.OpTruncate, 1, syscall.EIO, syscall.ENOSPC, syscall.EDQUOT),
		says: "a file whose size cannot be set loses nothing (G7)",
	},
	{
		name: "ReadFails", rules: once(faultfs.OpRead, 20, syscall.EIO),
		says: "a read that fails cuts nothing off and changes nothing (G5, G6)",
	},
	{
		name: "SyncSlow",
		rules: func(*rand.Rand) []faultfs.Rule {
			return []faultfs.Rule{{Op: faultfs.OpSync, Delay: 3 * time.Millisecond}}
		},
		says: "nothing is acknowledged while its sync is under way (G1)",
	},
	{
		name: "SyncStuck", scene: true,
		says: "a sync that does not return acknowledges nothing, and stops neither readers nor those who give up (G1, G10, G12)",
	},
	{
		name: "SpaceComesBack", scene: true,
		says: "a full disk is reported as such, does not stop readers, and appends succeed as soon as there is space (G8)",
	},
	{
		name: "SyncLies", rules: lie(faultfs.OpSync), lies: true,
		says: "what a disk that lies about syncs has lost is at the end of the log, or reported as damage (G2, G6)",
	},
	{
		name: "SyncDirLies", rules: lie(faultfs.OpSyncDir), lies: true,
		says: "files that are lost because a sync of the directory lied are at the end of the log, or reported as damage (G2, G6)",
	},
}

const groupFaults = "Faults"

// faultChecks are what a log has to endure of a file system that fails.
func faultChecks() []check {
	list := []check{{
		group: groupFaults, name: "SyscallErrors",
		says: "a system call that fails acknowledges nothing false and loses nothing (G7, G8)",
		run:  syscallErrors,
	}, {
		group: groupFaults, name: "FileLimit",
		says: "limits of the process, on the size of files and on how many are open, lose nothing (G8)",
		run:  fileLimit,
	}, {
		group: groupFaults, name: "BlockEIO",
		says: "a disk that fails writes and flushes, under a kernel that then calls the same sync a success, takes nothing that is acknowledged (G7)",
		run:  func(t *T) { t.runLayer("block", "BlockEIO", *flagStates/10) },
	}}
	for _, f := range faults {
		list = append(list, check{
			group: groupFaults, name: f.name, says: f.says,
			run: func(t *T) { t.runLayer("fuse", f.name, *flagStates/50) },
		})
	}
	return list
}

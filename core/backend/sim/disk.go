package sim

import (
	"errors"
	"io/fs"
	"math/bits"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
)

// ErrCrashed is wrapped by the error of every call after the crash of a Disk.
var ErrCrashed = errors.New("the simulated machine has crashed")

// ErrContract is wrapped by the error of a call that breaks what package backend
// demands of the caller. See Disk.Misuse.
var ErrContract = errors.New("the caller broke the backend contract")

// Options are the options of New. The zero value is a disk without limits.
type Options struct {
	// Alignment is Limits.Alignment: 512 (the default) to 4096. Another number is
	// rounded up to a power of two in that range.
	Alignment int
	// Depth is the largest Limits.Depth that a queue gets; 1 if less. From 2 on, the
	// order in which batches complete is drawn from Seed.
	Depth int
	// Capacity is the size of the disk in bytes; 0 is without limit. Files count
	// with their reserved size, in whole sectors.
	Capacity int64
	// Seed decides everything that is left to chance in the life of the disk. The
	// images made of it have the seed of their Image.
	Seed uint64
	// NoTrace makes a disk that records nothing, for stress and allocation tests:
	// submitting and waiting for writes allocates nothing. It has no medium apart
	// from its cache: whatever is done survives every crash, and no failed sync
	// takes it away.
	NoTrace bool
	// PerWriteSync makes a write with Sync and Data durable alone, and not the earlier
	// writes of its file. A Sync without Data still makes them durable.
	PerWriteSync bool
	// PreferWritten is Limits.PreferWritten of every queue.
	PreferWritten bool
}

// Disk is a simulated machine with one disk. It is a backend.Backend whose paths are
// slash-separated and start at "/", which exists.
type Disk struct {
	opt  Options
	hook atomic.Pointer[func(OpInfo)]

	views atomic.Int64

	mu      sync.Mutex
	cond    sync.Cond // a Wake, a crash, the end of a stall
	st      *state
	base    *state // where the trace starts; nil before the first operation
	ops     []op
	count   int // operations recorded, with a trace or without
	marks   []Mark
	rng     rng
	crashed bool
	left    int // operations until the crash; below 0: none is planned

	readOnly bool
	lie      bool
	stalled  bool
	allowed  int // batches that may complete during the stall
	faults   []*Injection

	open    map[int]*openInode
	locks   map[string]*dir
	handles int
	misuse  []error
}

var _ backend.Backend = (*Disk)(nil)

// openInode is what the open Files of one inode share.
type openInode struct {
	ino    int
	name   string // its name now, or its last one
	linked bool   // it still has a name
	count  int    // open Files
}

// New returns an empty disk.
func New(o Options) *Disk {
	o.Alignment = min(max(o.Alignment, 512), 4096)
	o.Alignment = 1 << bits.Len(uint(o.Alignment-1))
	o.Depth = max(o.Depth, 1)
	st := newState()
	st.flat, st.perWrite = o.NoTrace, o.PerWriteSync
	return newDisk(o, st)
}

func newDisk(o Options, st *state) *Disk {
	d := &Disk{opt: o, st: st, rng: rng(mix(o.Seed)), left: -1}
	d.cond.L = &d.mu
	return d
}

// begin starts an operation: it calls the hook and takes the lock, which it holds
// when it returns nil. An injected fault that is a plain error ends it here.
func (d *Disk) begin(i OpInfo) error {
	if h := d.hook.Load(); h != nil {
		(*h)(i)
	}
	d.mu.Lock()
	err := d.alive()
	if err == nil {
		switch i.Op {
		case OpRead, OpFileSync, OpDirSync: // their faults are more than an error
		default:
			if f := d.fault(i); f != nil {
				err = f.err()
			}
		}
	}
	if err != nil {
		d.mu.Unlock()
		return failed(i, err)
	}
	return nil
}

func (d *Disk) alive() error {
	if d.crashed {
		return ErrCrashed
	}
	return nil
}

// record carries out an operation and appends it to the trace, or crashes if this is
// where the crash is due.
func (d *Disk) record(o *op) error {
	if d.crashed {
		return ErrCrashed
	}
	if d.left == 0 {
		d.crash()
		return ErrCrashed
	}
	d.left--
	d.startTrace()
	d.st.apply(o)
	d.count++
	if !d.opt.NoTrace {
		d.ops = append(d.ops, *o)
	}
	return nil
}

// change is record for what a read-only file system refuses.
func (d *Disk) change(o *op) error {
	if d.readOnly {
		return syscall.EROFS
	}
	return d.record(o)
}

func (d *Disk) startTrace() {
	if d.base == nil && !d.opt.NoTrace {
		d.base = d.st
		d.st = d.base.fork()
	}
}

func (d *Disk) crash() {
	d.crashed = true
	d.cond.Broadcast()
}

func (d *Disk) offend(err error) error {
	d.misuse = append(d.misuse, err)
	return err
}

// used returns how many bytes are reserved: by files that have a name and by those
// that are still open.
func (d *Disk) used() int64 {
	var sum int64
	for _, dir := range d.st.dirs {
		for _, e := range dir.vol {
			if e.kind == kindFile {
				sum += sectorsUp(d.st.inodes[e.ino].size())
			}
		}
	}
	for _, o := range d.open {
		if !o.linked {
			sum += sectorsUp(d.st.inodes[o.ino].size())
		}
	}
	return sum
}

func sectorsUp(n int64) int64 { return (n + SectorSize - 1) / SectorSize * SectorSize }

// maxSize bounds the size of a file. Without a trace all of it is memory.
func (d *Disk) maxSize() int64 {
	if d.opt.NoTrace {
		return 8 << 30
	}
	return 1 << 40
}

// reserve says whether a file can grow from one size to another.
func (d *Disk) reserve(from, to int64) error {
	switch {
	case to < 0:
		return syscall.EINVAL
	case to > d.maxSize():
		return syscall.EFBIG
	case to > from && d.opt.Capacity > 0 && d.used()-sectorsUp(from)+sectorsUp(to) > d.opt.Capacity:
		return syscall.ENOSPC
	}
	return nil
}

// unlink notes that an inode has lost its name.
func (d *Disk) unlink(ino int) {
	if o := d.open[ino]; o != nil {
		o.linked = false
		return
	}
	d.free(ino)
}

// free gives back the memory of an inode without names and Files. With a trace, the
// medium may still know it.
func (d *Disk) free(ino int) {
	if d.opt.NoTrace {
		d.st.inodes[ino] = nil
	}
}

func failed(i OpInfo, err error) error {
	return &fs.PathError{Op: "sim: " + i.Op.String(), Path: path.Join(i.Dir, i.Name), Err: err}
}

// Name returns "sim".
func (d *Disk) Name() string { return "sim" }

// Probe returns nil: the simulation runs everywhere.
func (d *Disk) Probe() error { return nil }

// OpenDir opens a directory as backend.Backend describes. Each directory that it makes is
// an operation of its own.
func (d *Disk) OpenDir(p string, o backend.DirOptions) (backend.Dir, error) {
	parent, name := path.Split(path.Clean("/" + p))
	info := OpInfo{Op: OpOpenDir, Dir: path.Clean(parent), Name: name}
	if err := d.begin(info); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	at, err := d.st.resolve(p)
	if errors.Is(err, fs.ErrNotExist) && o.Create && !o.ReadOnly {
		at, err = d.mkdir(info.Dir, name)
	}
	if err != nil {
		return nil, failed(info, err)
	}
	d.handles++
	return &dir{d: d, path: at, ro: o.ReadOnly}, nil
}

// mkdir makes a directory, and those missing above it, and returns its true path.
func (d *Disk) mkdir(parent, name string) (string, error) {
	at, err := d.st.resolve(parent)
	if errors.Is(err, fs.ErrNotExist) {
		above, last := path.Split(parent)
		at, err = d.mkdir(path.Clean(above), last)
	}
	if err != nil {
		return "", err
	}
	if _, ok := d.st.lookup(at, name); ok {
		return "", fs.ErrExist // a link that leads nowhere
	}
	info := OpInfo{Op: OpMkdir, Dir: at, Name: name}
	if f := d.fault(info); f != nil {
		return "", f.err()
	}
	return path.Join(at, name), d.change(&op{OpInfo: info})
}

// Misuse returns, joined, every break of the caller's side of the contract so far: a
// batch that is misaligned, outside its file, too deep or overlapping, memory changed
// or released in flight, handles left open when their Dir is closed. A test of a
// caller demands nil.
func (d *Disk) Misuse() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(slices.Clone(d.misuse)...)
}

// OpenHandles returns how many Dirs, Files and Queues are open.
func (d *Disk) OpenHandles() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.handles
}

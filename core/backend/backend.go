// Package backend is the contract between the log engine and whatever moves its
// bytes to stable storage.
//
// The engine owns the format, group commit and recovery. A backend owns three
// things: creating and naming files, reading them, and writing them durably. It
// never looks inside the bytes.
//
// Every promise has a number in brackets before it. Package conformance has one
// check for each, which quotes it. A backend that breaks one loses data. Sentences
// without a number say what is left to the caller, or to the backend.
// docs/backends.md explains it all.
//
// These hold for every method:
//
//   - [E1] A name is one path element: an error wrapping [ErrName] refuses one that
//     is empty, "." or "..", or holds a slash, a backslash or NUL.
//   - [E2] Errors keep their cause: errors.Is(err, fs.ErrNotExist), fs.ErrExist,
//     fs.ErrPermission, syscall.ENOSPC and the like hold where they apply.
//   - [E3] A method that fails changes nothing, and leaves no goroutine, descriptor
//     or mapping behind.
//   - [E4] Close leaves none behind either, whatever was done before.
//   - [E5] After Close every method that returns an error returns one wrapping
//     [ErrClosed], a second Close too.
//   - [E6] Close may be called while other methods of the same Dir or File run: each
//     of them does its work on that Dir or File, or fails wrapping [ErrClosed].
//   - [E7] A negative size or offset is an error.
//   - [E8] Close may wait for calls that run and batches in flight. Calls that come meanwhile do
//     not wait for it.
//
// Where a batch fails in the middle, E3 does not hold for its bytes: those of a
// write with an error are unspecified.
package backend

import (
	"errors"
	"io"
	"io/fs"
)

// ErrLocked is wrapped by Dir.Lock when another writer holds the directory.
var ErrLocked = errors.New("directory is locked by another writer")

// ErrNotRegular is wrapped by Dir.Open for a link, directory, FIFO, socket or device.
var ErrNotRegular = errors.New("not a regular file")

// ErrName is wrapped by every Dir method that is given an unacceptable name.
var ErrName = errors.New("not a plain file name")

// ErrSync is wrapped by the error of a sync that failed: of one that was asked for, or of one
// before it after which no other counts.
var ErrSync = errors.New("sync failed")

// ErrClosed is wrapped by every method called after Close. It is the error that methods of
// os.File return then.
var ErrClosed = fs.ErrClosed

// Backend makes directories accessible.
// [B11] All methods may be called concurrently.
type Backend interface {
	// Name is the backend's name as users write it.
	// [B1] It is lower-case letters, digits and hyphens, and always the same.
	Name() string

	// Probe says whether the backend can run on this machine.
	// [B2] Where it cannot, the error wraps errors.ErrUnsupported and names the likely
	// cause.
	Probe() error

	// OpenDir opens a directory.
	// [B3] Without Create a missing directory is an error wrapping fs.ErrNotExist.
	// [B4] With Create it makes a missing directory and those missing above it, of mode
	// 0700 under any umask.
	// [B5] With Create the names of the directory and of all above it, up to the root of
	// their file system, are durable when OpenDir returns, whoever made them.
	// A name in a directory that the caller may not read is left to whoever made it, if
	// OpenDir did not: no system syncs what it does not let open.
	// [B6] The path may lead through symbolic links, its last element included.
	// [B7] A path that leads to something else than a directory is an error.
	// [B8] The Dir stays the directory that was opened, also when its path leads
	// elsewhere by now.
	OpenDir(path string, o DirOptions) (Dir, error)
}

// DirOptions are the options of Backend.OpenDir.
type DirOptions struct {
	// Create makes a missing directory.
	Create bool
	// ReadOnly opens a directory for reading only.
	// [B9] It makes nothing: Create is ignored.
	// [B10] Create, Rename, Remove, Queue and File.Resize fail with an error wrapping
	// fs.ErrPermission; everything else works, and needs no permission to write.
	// Whether Lock does is up to the backend.
	ReadOnly bool
}

// Dir is one open directory.
// [D1] Its methods may be called concurrently.
type Dir interface {
	// Lock takes the directory for one writer.
	// [D2] It does not wait: it fails with an error wrapping ErrLocked if another open
	// Dir, of this or another process, holds the lock.
	// [D3] A Dir that holds the lock may take it again; that changes nothing.
	// [D4] The lock ends with Close or with the process, however it ends.
	// [D5] The lock shows in no List, and hinders nothing but other Locks.
	Lock() error

	// List returns the names of the entries in any order.
	// [D6] It returns every entry once, directories, links and what else there is
	// included, but not "." and "..".
	List() ([]string, error)

	// Create makes a new file of size bytes.
	// [D7] An existing name, a link to nowhere too, is an error wrapping fs.ErrExist,
	// and what it leads to is left as it was.
	// [D8] The file is empty up to its size: it reads as zeros.
	// [D9] Its mode is 0600 under any umask.
	// [D10] Its space is reserved: a later write inside its size does not fail for lack
	// of space.
	// [D11] If space cannot be reserved the file is gone again, and the error wraps
	// syscall.ENOSPC, EDQUOT or EFBIG.
	// Of a file system that can reserve none at all it may wrap errors.ErrUnsupported, if the
	// backend does not write zeros there.
	Create(name string, size int64) (File, error)

	// Open opens an existing file, for writing too unless the Dir is read-only.
	// [D12] It gives what the name leads to now; a missing name is an error wrapping
	// fs.ErrNotExist.
	// [D13] It follows no link and waits for nobody: what is not a regular file is an
	// error wrapping ErrNotRegular.
	Open(name string) (File, error)

	// Rename gives a file another name. It may be the one that it has.
	// [D14] It replaces the file of the new name if there is one, and takes the old
	// name away; a missing old name is an error wrapping fs.ErrNotExist.
	// [D15] It is atomic: at every moment the new name leads to the one file or to the
	// other.
	// [D16] Files that are open under the old name, or were under the new one, stay
	// usable.
	Rename(oldname, newname string) error

	// Remove deletes the name of a file.
	// [D17] The name is free again; a missing one is an error wrapping fs.ErrNotExist.
	// [D18] Files that are open under the name stay usable.
	Remove(name string) error

	// Sync makes names durable.
	// [D19] Every Create, Rename and Remove that returned before it began is durable
	// when it returns nil; of others each survives a crash as a whole or not at all.
	// [D20] It works on a read-only Dir.
	// [D22] After it failed it fails until the Dir is closed: another call could succeed
	// without what the first one lost.
	Sync() error

	// Queue opens a queue for writing files of this Dir.
	// [D21] A Dir can have several, which know nothing of each other.
	Queue(o QueueOptions) (Queue, error)

	// Close releases the Dir and its lock. The caller has closed its Files and Queues.
	Close() error
}

// File is one open file. A file may be open more than once, each time independently. The
// caller closes it when no write to it is in flight.
// [F1] Its methods may be called concurrently.
type File interface {
	// ReadAt reads.
	// [F2] It follows io.ReaderAt: fewer bytes than asked for come with an error, at
	// the end of the file with io.EOF.
	// [F3] It sees every write that any Queue's Wait returned before the call, through
	// whichever open File.
	// [F4] While a write to the same place is in flight it gives for each byte what was
	// there before or what is being written.
	io.ReaderAt
	io.Closer

	// Size returns the file's size in bytes.
	// [F5] It is what the last Resize made it, through whichever open File.
	Size() (int64, error)

	// Resize sets the size. No write to the file may be in flight.
	// [F6] What is below the old and the new size stays; beyond the old one the file
	// reads as zeros, also where it was longer once.
	// [F7] Space is reserved as by Create; where it cannot be, the error is one of those
	// of Create, and the file as it was.
	Resize(size int64) error

	// Sync makes the file durable.
	// [F8] Content and size are durable when it returns nil, whoever wrote them, also in
	// an earlier process.
	// [F9] After it returned nil a read returns what the device holds, not what a cache
	// holds that a failed write-back left behind.
	// [F10] It works on a file of a read-only Dir.
	Sync() error
}

// DataFinder is an optional interface of a File. Recovery asks it where to look on in a
// file that is reserved much further than it is written.
type DataFinder interface {
	// NextData looks for what was written.
	// [F11] It returns an offset, not below the given one, below which all bytes from the
	// given one on read as zeros; at or beyond the end, the given one.
	// With nothing but zeros to come it returns the file's size. The given offset itself
	// is always a right answer.
	NextData(offset int64) (int64, error)
}

// Viewer is an optional interface of a File that need not copy what it is read for. The engine
// looks through it at what it hands out for a moment only, in a log whose writer it is.
type Viewer interface {
	// View calls look with n bytes of the file at an offset.
	// [F12] They are the bytes that ReadAt would return; where that would return fewer, look
	// is not called and View returns the error that ReadAt would.
	// [F13] They stay readable, and what they are, until look returns, also if the file is
	// closed, removed or renamed meanwhile.
	// [F14] Where they cannot be brought any more while look runs, because the device fails
	// or somebody has cut the file, look ends there and View returns an error.
	//
	// look must not write to them. What look panics with otherwise is a panic of View.
	View(offset int64, n int, look func(data []byte)) error
}

// QueueOptions are the options of Dir.Queue.
type QueueOptions struct {
	// Depth is how many batches the caller would like to have in flight; at least 1.
	// Limits.Depth says how many it may have.
	Depth int
	// Many says that the caller has many queues at work at once, each with little to do.
	Many bool
}

// Limits is what a Queue asks of its caller.
type Limits struct {
	// Alignment divides the offset and the length of each write, and the place of its
	// Data in its Buffer.
	// [Q1] It is a power of two from 512 to 4096.
	// [Q2] A completed write is never damaged by a later write to other aligned blocks.
	Alignment int
	// Depth is the largest number of submitted batches not yet returned by Wait.
	// [Q3] It is at least 1, and so many can be submitted before any comes back.
	Depth int
	// PreferWritten says that overwriting space that was written before is faster
	// than writing reserved space for the first time. The engine then writes zeros
	// ahead of the log.
	PreferWritten bool
}

// Queue is the data plane: it writes batches and reports them when they are as
// durable as they asked for. One goroutine at a time uses it, but for Wake, Buffer and
// Release.
// [Q4] Wake, Buffer and Release may be called by any goroutine at any time.
// [A1] Once it has seen a batch of a shape, Submit, Wait and Wake allocate no memory for
// another one of that shape.
type Queue interface {
	// Limits tells what the queue can do.
	// [Q5] It is constant over the life of the queue.
	Limits() Limits

	// Buffer returns memory that writes may come from, its content unspecified. It may be
	// registered, aligned, off-heap.
	// [Q6] It has at least size bytes, which are the caller's alone: nobody else has or
	// changes them.
	// [Q7] A size below 1, or one that no machine has, is an error.
	Buffer(size int) (*Buffer, error)

	// Release gives a buffer back. No write from it may be in flight. A buffer is released
	// once, to the queue that it is of.
	// [Q8] Its memory is used again: a queue that gets back what it gave does not grow.
	// [Q9] After Close it does nothing.
	Release(b *Buffer)

	// Submit starts a batch. Its data belongs to the queue until Wait returned it. Two
	// writes of batches in flight never overlap.
	// [Q10] A batch is an error if it is one too many, if Alignment does not divide the
	// offset and the length of each write, or if one lies outside its file's size or has
	// a File that is closed or of another Dir. A backend may refuse others that break
	// the rules.
	// [Q11] After an error nothing of the batch was started, and Wait does not return it.
	Submit(b *Batch) error

	// Wait returns a completed batch; batches may come back in another order than they
	// were submitted in.
	// [Q12] Every submitted batch comes back exactly once, an empty one too.
	// [Q13] It blocks until there is a completed batch, or a wake, for which it returns
	// nil, nil.
	// It returns nil and an error only when the queue itself can no longer work.
	Wait() (*Batch, error)

	// Wake makes Wait return without a batch. Several wakes may count as one.
	// [Q14] It ends a Wait that is blocked, or the next one if none is, and no further
	// one.
	// [Q15] It takes no batch's place: where a batch and a wake are both due, Wait returns
	// one of them and then the other.
	// [Q16] After Close it does nothing.
	Wake()

	// Close releases the queue with its buffers. The batches in flight do not come back.
	// [Q17] It waits for what is in flight, which is carried out.
	io.Closer
}

// Buffer is memory obtained from a Queue.
type Buffer struct {
	// Bytes is the memory.
	Bytes []byte
	// Backend is for the backend that made the buffer; callers leave it alone.
	Backend any
}

// Batch is a set of writes that are submitted, and come back, as one.
// [Q18] The queue changes nothing of it but the two kinds of Err, not even Data.
type Batch struct {
	// Writes are carried out in any order.
	// [Q19] Without an error all of them were, each as a whole and at its place.
	Writes []Write
	// Err joins what went wrong outside single writes.
	// [Q20] The queue sets it, and the Err of each write: what was in them before Submit
	// is gone.
	Err error
	// Tag is the caller's.
	Tag any
}

// Write is one contiguous write. A write and its sync are one unit.
// [Q21] With Sync it is complete only when its data, and whatever metadata it takes to
// read it back, would survive a power failure.
// [Q22] Sync without Data makes durable every write to the file that Wait returned before
// the batch was submitted; of writes of the same batch it promises nothing.
type Write struct {
	File   File
	Offset int64
	// Data lies in Buffer, which is of the same queue. Without Data the place does not
	// matter.
	Data   []byte
	Buffer *Buffer
	Sync   bool
	// Err is the write's own result, set by the queue.
	// [Q23] A short write is finished by the backend or reported here, never passed over,
	// and the error is that of the write that it belongs to.
	// [Q24] After a sync of the file that failed, by this write or another one, the backend
	// does not sync it again of its own accord, and reports no later write with Sync as done
	// that is not, through whichever File, until all are closed that were open when it failed.
	// File.Sync of the one on which it failed does not succeed any more; that of others may:
	// what they can read then is what the device holds.
	// [Q26] Of syncs at the same time none is reported as done when another one fails that may
	// have been told what both have lost.
	// [Q25] The error of a sync that finds no space wraps ErrSync: with delayed allocation that
	// is what becomes of writes that succeeded. ENOSPC, EDQUOT and EFBIG without ErrSync are
	// of a write that was refused: nothing else is lost, and no sync has failed.
	Err error
}

// Failed returns the batch's first error, nil if all of it succeeded.
func (b *Batch) Failed() error {
	if b.Err != nil {
		return b.Err
	}
	for i := range b.Writes {
		if b.Writes[i].Err != nil {
			return b.Writes[i].Err
		}
	}
	return nil
}

// Package backend is the contract between the log engine and whatever moves its
// bytes to stable storage.
//
// The engine owns the format, group commit and recovery. A backend owns three
// things: creating and naming files, reading them, and writing them durably. It
// never looks inside the bytes.
//
// Each numbered sentence below is checked by a conformance subtest; a backend
// that breaks one loses data. The rules that hold for every method:
//
//   - A name is one path element. A backend refuses a name that holds a separator
//     or NUL or is "." or ".." with [ErrName].
//   - Errors keep their cause: errors.Is(err, fs.ErrNotExist), fs.ErrExist,
//     fs.ErrPermission, syscall.ENOSPC and the like hold where they apply.
//   - A method that fails leaves no goroutine, descriptor or mapping behind.
package backend

import (
	"errors"
	"io"
)

// ErrLocked is wrapped by Dir.Lock when another writer holds the directory.
var ErrLocked = errors.New("directory is locked by another writer")

// ErrNotRegular is wrapped by Dir.Open for a link, directory, FIFO, socket or device.
var ErrNotRegular = errors.New("not a regular file")

// ErrName is wrapped by every Dir method that is given an unacceptable name.
var ErrName = errors.New("not a plain file name")

// ErrClosed is wrapped by every method called after Close.
var ErrClosed = errors.New("closed")

// Backend makes directories accessible. All methods may be called concurrently.
type Backend interface {
	// Name is the backend's name as users write it: lower case, no spaces.
	Name() string

	// Probe says whether the backend can run on this machine. Where it cannot, the
	// error wraps errors.ErrUnsupported and names the likely cause.
	Probe() error

	// OpenDir opens a directory. With Create it makes the directory (mode 0700),
	// and makes it durable, if it is missing; without, a missing one is an error
	// wrapping fs.ErrNotExist. The directory itself may be a symbolic link.
	OpenDir(path string, o DirOptions) (Dir, error)
}

// DirOptions are the options of Backend.OpenDir.
type DirOptions struct {
	// Create makes a missing directory.
	Create bool
	// ReadOnly refuses every method that would change a byte or need write
	// permission, with an error wrapping fs.ErrPermission.
	ReadOnly bool
}

// Dir is one open directory. All methods may be called concurrently.
type Dir interface {
	// Lock takes the directory for one writer, without waiting: an error wrapping
	// ErrLocked if another open Dir, of this or another process, holds it. The lock
	// ends with Close or with the process, however it ends. It leaves no file.
	Lock() error

	// List returns the names of the entries, directories included, in any order.
	List() ([]string, error)

	// Create makes a new file (mode 0600 under any umask) of size bytes that reads as
	// zeros, with space reserved: a later write inside size does not fail for lack of
	// space. An existing name is an error wrapping fs.ErrExist. If space cannot be
	// reserved the file is gone again and the error wraps syscall.ENOSPC (or EDQUOT,
	// EFBIG). The name is durable after Sync.
	Create(name string, size int64) (File, error)

	// Open opens an existing regular file, for writing too unless the Dir is
	// read-only. It follows no link and does not block on a FIFO: either is an error
	// wrapping ErrNotRegular.
	Open(name string) (File, error)

	// Rename gives a file another name, replacing the file of that name if there is
	// one. It is atomic; it is durable after Sync. Open Files stay usable.
	Rename(oldname, newname string) error

	// Remove deletes a name; durable after Sync. Open Files stay readable.
	Remove(name string) error

	// Sync makes every Create, Rename and Remove that returned before it durable.
	Sync() error

	// Queue opens a queue for writing files of this Dir. A Dir can have several.
	Queue(o QueueOptions) (Queue, error)

	// Close releases the Dir and its lock. Files and Queues are closed before it.
	Close() error
}

// File is one open file. All methods may be called concurrently.
type File interface {
	// ReadAt follows io.ReaderAt. It sees every write whose batch was returned by
	// Queue.Wait before the call.
	io.ReaderAt
	io.Closer

	// Size returns the file's size in bytes.
	Size() (int64, error)

	// Resize sets the size. A file that grows reads as zeros beyond its old end, with
	// space reserved as by Create. Durable after Sync.
	Resize(size int64) error

	// Sync makes the content and size of the file durable, whoever wrote them, also
	// in an earlier process. After it returned nil a read returns what the device
	// holds, not what a cache holds that a failed write-back left behind. It works on
	// a file of a read-only Dir.
	Sync() error
}

// DataFinder is an optional interface of a File. Recovery asks it where to look on in a
// file that is reserved much further than it is written.
type DataFinder interface {
	// NextData returns an offset, not below the given one, below which all bytes from the
	// given one on read as zeros: the file's size if nothing else follows. The given
	// offset itself is always a right answer.
	NextData(offset int64) (int64, error)
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
	// Alignment divides the offset and the length of each write: a power of two from
	// 512 to 4096. Data written by Buffer is aligned in memory as the backend needs.
	// A completed write is never damaged by a later write to other aligned blocks.
	Alignment int
	// Depth is the largest number of submitted batches not yet returned by Wait.
	Depth int
	// PreferWritten says that overwriting space that was written before is faster
	// than writing reserved space for the first time. The engine then writes zeros
	// ahead of the log.
	PreferWritten bool
}

// Queue is the data plane: it writes batches and reports them when they are as
// durable as they asked for. One goroutine at a time uses it, but for Wake, Buffer and
// Release, which any goroutine may call.
type Queue interface {
	// Limits is constant over the life of the queue.
	Limits() Limits

	// Buffer returns memory that writes may come from, of at least size bytes, its
	// content unspecified. It may be registered, aligned, off-heap.
	Buffer(size int) (*Buffer, error)

	// Release gives a buffer back. No write from it may be in flight.
	Release(b *Buffer)

	// Submit starts a batch. Its data belongs to the queue until Wait returned it.
	// After an error nothing of the batch was started. A batch that breaks Limits or
	// writes outside a file's size is an error. Two writes of batches in flight never
	// overlap.
	Submit(b *Batch) error

	// Wait returns a completed batch, blocking until there is one; batches may come
	// back in another order than they were submitted in. Every submitted batch comes
	// back exactly once. It returns nil, nil after a Wake, and nil and an error only
	// when the queue itself can no longer work.
	Wait() (*Batch, error)

	// Wake makes a blocked Wait return, or the next one if none is blocked. Several
	// wakes may count as one. Any goroutine may call it; after Close it does nothing.
	Wake()

	// Close waits for what is in flight and releases the queue with its buffers.
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
type Batch struct {
	// Writes are carried out in any order.
	Writes []Write
	// Err joins what went wrong outside single writes. Set by the queue.
	Err error
	// Tag is the caller's.
	Tag any
}

// Write is one contiguous write. A write and its sync are one unit: with Sync set
// it is complete only when the data, and whatever metadata it takes to read it
// back, would survive a power failure. Sync without Data makes every write to the
// file that completed before it durable.
type Write struct {
	File   File
	Offset int64
	// Data lies in Buffer.
	Data   []byte
	Buffer *Buffer
	Sync   bool
	// Err is the write's own result, set by the queue. A short write is finished by
	// the backend or reported here, never passed over. After an error of a write with
	// Sync the backend does not sync that file again of its own accord.
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

//go:build unix

package mmap

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// Probe returns nil: every Unix has what this backend needs.
func (*Backend) Probe() error { return nil }

const (
	// windowSize is how much of a file one mapping covers, bytes: as much as does not matter
	// to the address space, 16 MiB where that is of 32 bits.
	windowSize = 16 << 20 << (2 * (bits.UintSize / 64))
	// maxWindows is how many mappings a file has at most: the log is written at one place,
	// and ahead of it at another.
	maxWindows = 4
)

// window is a mapping of a part of a file.
type window struct {
	at   int64 // where in the file it begins, a multiple of windowSize
	mem  []byte
	uses int  // guarded by file.mu, as is dead
	dead bool // to be unmapped with its last use
}

// use returns the window that a position lies in, mapping it if need be, with its space
// reserved. It stays until done.
func (f *file) use(offset int64) (*window, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, backend.ErrClosed
	}
	at := offset / windowSize * windowSize
	if i := slices.IndexFunc(f.windows, func(w *window) bool { return w.at == at }); i >= 0 {
		w := f.windows[i]
		f.windows = slices.Delete(f.windows, i, i+1)
		if offset < at+int64(len(w.mem)) {
			f.windows = append(f.windows, w)
			w.uses++
			return w, nil
		}
		f.drop(w) // the file was enlarged through another File
	}
	w, err := f.mapWindow(at)
	if err != nil {
		return nil, err
	}
	if len(f.windows) == maxWindows {
		f.drop(f.windows[0])
		f.windows = slices.Delete(f.windows, 0, 1)
	}
	f.windows = append(f.windows, w)
	w.uses++
	return w, nil
}

// mapWindow maps a part of the file, up to its end.
func (f *file) mapWindow(at int64) (*window, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	n := min(size-at, windowSize)
	if n <= 0 {
		return nil, fmt.Errorf("map %s at %d: beyond its end at %d: %w", f.Path(), at, size, ErrFault)
	}
	// Without space the first store would end the process, or fail like a broken disk.
	if err := f.Reserve(at, n); err != nil {
		return nil, err
	}
	if err := f.Use(); err != nil {
		return nil, err
	}
	defer f.Done()
	fd, _ := f.Descriptors()
	mem, err := unix.Mmap(fd, at, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s at %d: %w", f.Path(), at, err)
	}
	return &window{at: at, mem: mem}, nil
}

// done ends a use.
func (f *file) done(w *window) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.uses--
	if w.dead && w.uses == 0 {
		_ = unix.Munmap(w.mem) // fails only for what was never mapped
	}
}

// drop unmaps a window, once nobody uses it. The caller holds mu.
func (f *file) drop(w *window) {
	w.dead = true
	if w.uses == 0 {
		_ = unix.Munmap(w.mem) // as in done
	}
}

// forget drops all windows.
func (f *file) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.windows {
		f.drop(w)
	}
	f.windows = nil
}

// each calls do for the parts of a range that lie in one window each.
func (f *file) each(from, to int64, do func(w *window, from, to int64) error) error {
	for from < to {
		w, err := f.use(from)
		if err != nil {
			return err
		}
		end := min(to, w.at+int64(len(w.mem)))
		if end <= from {
			err = fmt.Errorf("%s: byte %d is beyond what is mapped: %w", f.Path(), from, ErrFault)
		} else {
			err = do(w, from, end)
		}
		f.done(w)
		if err != nil {
			return err
		}
		from = end
	}
	return nil
}

// store puts data into the file's memory.
func (f *file) store(data []byte, offset int64) error {
	err := f.each(offset, offset+int64(len(data)), func(w *window, from, to int64) error {
		return guarded(w.mem, func() { copy(w.mem[from-w.at:to-w.at], data[from-offset:to-offset]) })
	})
	if err != nil {
		err = fmt.Errorf("write %s at offset %d, %d bytes: %w", f.Path(), offset, len(data), err)
	}
	if errors.Is(err, ErrFault) {
		return f.Syncer().Fail(err)
	}
	return err
}

// flush makes a range of the file durable: the pages that it touches, no others.
func (f *file) flush(from, to int64) error {
	page := int64(os.Getpagesize())
	err := f.Syncer().Sync(func() error {
		err := f.each(from/page*page, to, func(w *window, from, to int64) error {
			return msync(w.mem[from-w.at : to-w.at])
		})
		if err != nil {
			return fmt.Errorf("sync %s: %w", f.Path(), err)
		}
		return nil
	})
	if err == nil && msyncLeavesCache {
		err = f.SyncData()
	}
	return err
}

// maxRetries bounds how often in a row a call may be interrupted.
const maxRetries = 1000

func msync(mem []byte) error {
	err := unix.Msync(mem, unix.MS_SYNC)
	for n := 0; errors.Is(err, unix.EINTR) && n < maxRetries; n++ {
		err = unix.Msync(mem, unix.MS_SYNC)
	}
	return err
}

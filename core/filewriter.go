package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// fileWriter writes a whole file, front to back, under a temporary name. It is durable once
// it is finished, and counts once it is renamed.
type fileWriter struct {
	dir       backend.Dir
	name      string
	alignment int64
	chunk     int // how much is written at once

	file  backend.File // nil once closed
	queue backend.Queue
	buf   *backend.Buffer
	n     int   // bytes in buf
	at    int64 // position of buf in the file
	size  int64 // of the file
}

// writerBuffer is how much a fileWriter of a large file writes at once, bytes.
const writerBuffer = 1 << 20

// newFileWriter makes the file, to be written chunk by chunk of so many bytes, a multiple of
// the largest alignment. One of that name is what an interrupted run left.
func newFileWriter(dir backend.Dir, name string, chunk int) (*fileWriter, error) {
	queue, err := dir.Queue(backend.QueueOptions{Depth: 1})
	if err != nil {
		return nil, fmt.Errorf("open a write queue: %w", err)
	}
	w := &fileWriter{dir: dir, name: name, queue: queue, alignment: int64(queue.Limits().Alignment), chunk: chunk, size: int64(chunk)}
	if w.buf, err = queue.Buffer(chunk); err != nil {
		return nil, errors.Join(fmt.Errorf("allocate a write buffer: %w", err), queue.Close())
	}
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("remove %s: %w", name, err), queue.Close())
	}
	if w.file, err = dir.Create(name, w.size); err != nil {
		return nil, errors.Join(fmt.Errorf("create %s: %w", name, err), queue.Close())
	}
	return w, nil
}

// writeSmallFile writes a file of less than a block or little more. Its content is durable when it gets its
// name, the name once the directory is synced.
func writeSmallFile(dir backend.Dir, name string, content []byte) error {
	w, err := newFileWriter(dir, name+tempSuffix, format.MaxAlignment)
	if err != nil {
		return err
	}
	if err = w.put(content); err == nil {
		err = w.finish()
	}
	if err == nil {
		err = w.publish(name)
	}
	if err != nil {
		return errors.Join(err, w.abandon())
	}
	return nil
}

// abandon removes the file.
func (w *fileWriter) abandon() error {
	err := w.close()
	if removed := w.dir.Remove(w.name); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

func (w *fileWriter) close() error {
	if w.file == nil {
		return nil
	}
	err := errors.Join(w.queue.Close(), w.file.Close())
	w.file = nil
	return err
}

// position is where the next byte goes.
func (w *fileWriter) position() int64 { return w.at + int64(w.n) }

// put appends bytes.
func (w *fileWriter) put(b []byte) error {
	for len(b) > 0 {
		n := copy(w.buf.Bytes[w.n:w.chunk], b)
		w.n += n
		b = b[n:]
		if w.n == w.chunk {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what is in the buffer, in whole blocks.
func (w *fileWriter) flush() error {
	if w.n == 0 {
		return nil
	}
	n := int(format.AlignUp(int64(w.n), w.alignment))
	clear(w.buf.Bytes[w.n:n])
	if end := w.at + int64(n); end > w.size {
		w.size = max(end, w.size*2)
		if err := w.file.Resize(w.size); err != nil {
			return fmt.Errorf("enlarge %s: %w", w.name, err)
		}
	}
	batch := &backend.Batch{Writes: []backend.Write{{File: w.file, Offset: w.at, Data: w.buf.Bytes[:n], Buffer: w.buf}}}
	if err := w.queue.Submit(batch); err != nil {
		return fmt.Errorf("write %s, byte %d: %w", w.name, w.at, err)
	}
	for {
		done, err := w.queue.Wait()
		if err == nil && done == nil {
			continue
		}
		if err = errors.Join(err, batchError(done)); err != nil {
			return fmt.Errorf("write %s, byte %d: %w", w.name, w.at, err)
		}
		w.at, w.n = w.at+int64(w.n), 0
		return nil
	}
}

// finish makes the file durable, with the size that was written, and closes it.
func (w *fileWriter) finish() error {
	size := w.position()
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.file.Resize(size); err != nil {
		return fmt.Errorf("set the size of %s: %w", w.name, err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", w.name, err)
	}
	return w.close()
}

// publish gives the file, which is finished, its name. That is durable once the directory is
// synced.
func (w *fileWriter) publish(name string) error {
	if err := w.dir.Rename(w.name, name); err != nil {
		return fmt.Errorf("rename %s: %w", w.name, err)
	}
	return nil
}

// copy writes a copy of a file, and finishes.
func (w *fileWriter) copy(ctx context.Context, src backend.File, size int64) error {
	b := make([]byte, min(size, writerBuffer))
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.ReadAt(b[:min(size-at, int64(len(b)))], at)
		if n == 0 && err != nil {
			return fmt.Errorf("read byte %d: %w", at, err)
		}
		if err := w.put(b[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	return w.finish()
}

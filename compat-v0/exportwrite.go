package walv0

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// fileLimit is the size at which a v0 file is closed and the next one begun, bytes.
const fileLimit = 256 << 20

// write writes what is not in the directory yet.
func (e *exporter) write(ctx context.Context, dir string) error {
	if err := makeDirs(dir); err != nil {
		return err
	}
	e.done = 0
	for i := range e.parts {
		if e.parts[i].Records == 0 {
			continue
		}
		if err := e.writePartition(ctx, dir, &e.parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) writePartition(ctx context.Context, dir string, p *Partition) error {
	w, err := openPartition(dir, partitionID{p.Topic, p.Partition})
	if err != nil {
		return err
	}
	var b []byte
	for r, err := range e.records(ctx, p, w.next) {
		if err == nil {
			from := len(b)
			b, err = r.append(b, p)
			e.progress("writing", int64(len(b)-from))
		}
		if err == nil && int64(len(b)) >= e.o.Batch {
			err = w.write(b)
			b = b[:0]
		}
		if err != nil {
			return errors.Join(err, w.close())
		}
	}
	return errors.Join(w.write(b), w.close())
}

// files writes the files of one partition.
type files struct {
	id   partitionID
	dir  string
	file *os.File
	// number and size are those of the file, next is the offset behind its last record.
	number uint64
	size   int64
	next   int64
}

// folderOf is where a partition's files are in a data directory.
func folderOf(id partitionID) string { return filepath.Join(id.topic, strconv.Itoa(int(id.num))) }

// openPartition opens the files of a partition in a v0 directory to go on behind the last sound record,
// and cuts off what is behind that: the caller knows that it is no damage. A partition that is not there
// is made.
func openPartition(dir string, id partitionID) (*files, error) {
	w := &files{id: id, dir: filepath.Join(dir, folderOf(id))}
	if err := makeDirs(w.dir); err != nil {
		return nil, err
	}
	t := &tree{dir: dir}
	if err := t.partition(id, folderOf(id)); err != nil {
		return nil, err
	}
	t.sort()
	for i := len(t.files) - 1; i >= 0; i-- {
		f := t.files[i]
		end, next, err := soundEnd(filepath.Join(dir, f.name), f.size)
		if err != nil {
			return nil, err
		}
		if w.file == nil {
			if err := w.reopen(filepath.Join(dir, f.name), f.order[1], end); err != nil {
				return nil, err
			}
		}
		if w.next = next; next > 0 {
			return w, nil
		}
	}
	if w.file == nil {
		return w, w.create()
	}
	return w, nil
}

// soundEnd returns where the sound records from the beginning of a file on end, and the offset behind
// the last one.
func soundEnd(name string, size int64) (end, next int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r := NewReader(f, size, size)
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) || err == nil && (item.Record == nil || item.BadCRC) {
			return end, next, nil
		}
		if err != nil {
			return 0, 0, err
		}
		end = item.Position + item.Size
		next = item.Record.Offset + 1
		if item.Record.Variant == V2c {
			next = item.Record.Last + 1
		}
	}
}

func (w *files) reopen(name string, number uint64, size int64) (err error) {
	if w.file, err = os.OpenFile(name, os.O_WRONLY, 0); err != nil {
		return err
	}
	w.number, w.size = number, size
	if err = w.file.Truncate(size); err != nil {
		return errors.Join(err, w.file.Close())
	}
	return nil
}

func (w *files) create() (err error) {
	for ; ; w.number++ { // the numbers in names of other times may be in the way
		name := filepath.Join(w.dir, fmt.Sprintf("wal_%d_%d.log", w.id.num, w.number))
		if w.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			break
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	w.size = 0
	return syncDir(w.dir)
}

// write appends whole records.
func (w *files) write(b []byte) error {
	if w.size > 0 && w.size+int64(len(b)) > fileLimit {
		if err := w.close(); err != nil {
			return err
		}
		w.number++
		if err := w.create(); err != nil {
			return err
		}
	}
	n, err := w.file.WriteAt(b, w.size)
	w.size += int64(n)
	return err
}

// close makes what was written durable.
func (w *files) close() error { return errors.Join(w.file.Sync(), w.file.Close()) }

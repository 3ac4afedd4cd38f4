package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// Baseline measures the write path of version 0 under the same load as Append: a file a
// partition, and for each append one write and one fsync. Version 0 could not have
// several appends of one caller outstanding: Inflight is that many callers a producer,
// who share the partition's file under a lock.
func Baseline(ctx context.Context, o AppendOptions) (AppendResult, error) {
	files := make([]*v0File, o.Partitions)
	for i := range files {
		f, err := createV0File(o.Dir, i)
		if err != nil {
			return AppendResult{}, errors.Join(err, closeAll(files[:i]))
		}
		files[i] = f
	}
	r, err := baselineTo(ctx, files, o)
	if err := errors.Join(err, closeAll(files)); err != nil {
		return AppendResult{}, err
	}
	r.Bench, r.Backend, r.Fsync, r.Layout = "baseline", "v0", "always", "dedicated"
	r.Codec = "none"
	return r, nil
}

func baselineTo(ctx context.Context, files []*v0File, o AppendOptions) (AppendResult, error) {
	var before wal.Stats
	workers := o.Producers * o.Inflight
	work := func(stop <-chan struct{}, id int, l *latencies) error {
		producer := id % o.Producers
		f, batches := files[producer%len(files)], o.batches(producer)
		for i := 0; ; i++ {
			records := batches[i%len(batches)]
			select {
			case <-stop:
				return nil
			default:
			}
			begun := time.Now()
			if err := f.append(records); err != nil {
				return err
			}
			l.observe(id, time.Since(begun), len(records))
		}
	}
	begin := func() {
		for _, f := range files {
			f.counted.Store(int64(time.Since(processStart)))
		}
		before = totals(files)
	}
	w, err := runLoad(ctx, workers, o.Duration, work, begin)
	if err != nil {
		return AppendResult{}, err
	}
	return newResult(o, w, workers, since(before, totals(files)))
}

// v0File is the file of a partition.
type v0File struct {
	mu      sync.Mutex
	file    *os.File
	buf     []byte
	offset  int64
	syncs   atomic.Uint64
	written atomic.Uint64
	waited  atomic.Int64 // for mu, ns
	counted atomic.Int64 // since when waiting counts, ns after processStart
}

// processStart is what instants are measured from where they are kept as numbers.
var processStart = time.Now()

func createV0File(dir string, partition int) (*v0File, error) {
	dir = filepath.Join(dir, "bench", fmt.Sprint(partition))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "wal_0_0.log"), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	return &v0File{file: file}, err
}

// append writes and syncs records as one piece.
func (f *v0File) append(records []wal.Record) error {
	asked := time.Since(processStart)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.waited.Add(int64(now.Sub(processStart)) - max(int64(asked), f.counted.Load()))
	f.buf = f.buf[:0]
	for i := range records {
		f.buf = appendV0(f.buf, f.offset, now, records[i].Value)
		f.offset++
	}
	if _, err := f.file.Write(f.buf); err != nil {
		return err
	}
	f.written.Add(uint64(len(f.buf)))
	f.syncs.Add(1)
	return f.file.Sync()
}

// The record of version 0 without key and headers; its CRC is that of all other bytes:
//
//	 0  magic 0xCA7E   2
//	 2  version 1      1
//	 3  flags 0        1
//	 4  length of all  4
//	 8  offset         8
//	16  timestamp, ms  8
//	24  CRC            4
//	28  key size, -1   4
//	32  value size     4
//	36  value
//	 …  header count   4
const (
	v0Magic = 0xCA7E
	v0CRC   = 24
	v0Fixed = 40
)

func appendV0(b []byte, offset int64, now time.Time, value []byte) []byte {
	le := binary.LittleEndian
	at := len(b)
	b = le.AppendUint16(b, v0Magic)
	b = append(b, 1, 0)
	b = le.AppendUint32(b, uint32(v0Fixed+len(value)))
	b = le.AppendUint64(b, uint64(offset))
	b = le.AppendUint64(b, uint64(now.UnixMilli()))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, ^uint32(0))
	b = le.AppendUint32(b, uint32(len(value)))
	b = append(b, value...)
	b = le.AppendUint32(b, 0)
	record := b[at:]
	crc := crc32.Update(crc32.ChecksumIEEE(record[:v0CRC]), crc32.IEEETable, record[v0CRC+4:])
	le.PutUint32(record[v0CRC:], crc)
	return b
}

// totals is what the files counted so far; an append is a group of its own.
func totals(files []*v0File) wal.Stats {
	var s wal.Stats
	for _, f := range files {
		s.Syncs += f.syncs.Load()
		s.BytesWritten += f.written.Load()
		s.LockWait += time.Duration(f.waited.Load())
	}
	s.Groups = s.Syncs
	return s
}

func closeAll(files []*v0File) (err error) {
	for _, f := range files {
		err = errors.Join(err, f.file.Close())
	}
	return err
}

package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// keeper seals segments that have ended, and lets go of those that no partition needs.
type keeper struct {
	s       *shard
	bell    chan struct{}
	began   chan struct{} // closed once what was unsealed at the start is sealed, or cannot be
	ctx     context.Context
	stop    context.CancelFunc
	queue   backend.Queue
	broken  error            // the queue's, for good
	full    <-chan time.Time // there was no space for retention: ticks when to try again
	dropped []*segment       // off the list, their files still there, oldest first
}

func (k *keeper) init(s *shard) {
	k.s = s
	k.bell = make(chan struct{}, 1)
	k.began = make(chan struct{})
	k.ctx, k.stop = context.WithCancel(context.Background())
}

// wake has the keeper look for work.
func (k *keeper) wake() {
	if k.bell == nil {
		return // a read-only log has nothing to keep
	}
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// loop is the keeper's goroutine.
func (k *keeper) loop() {
	k.sealAll()
	close(k.began)
	k.retain()
	for {
		select {
		case <-k.bell:
		case <-k.full:
			k.full = nil
		case <-k.ctx.Done():
			return
		}
		k.sealAll()
		k.retain()
	}
}

// sealAll writes the footers that are due. Where that fails the segment stays unsealed,
// which costs a scan at the next open and nothing else.
func (k *keeper) sealAll() {
	for _, g := range k.s.segments.all() {
		if !g.is(stateUnsealed) || g.abandoned.Load() {
			continue
		}
		if err := k.seal(g); err != nil {
			g.abandoned.Store(true)
			k.s.cfg.logger.Warn("cannot seal segment; it stays without a footer", "segment", g.path, "error", err)
			continue
		}
		k.s.cfg.hooks.sealed(g.path)
	}
}

// seal writes a segment's footer behind its end and cuts the file there. Whatever stood
// behind the end is gone with it, so it cannot come back.
func (k *keeper) seal(g *segment) error {
	if err := k.open(); err != nil {
		return err
	}
	end := g.end.Load()
	if !g.hashed {
		if err := cutRemains(g, end); err != nil {
			return err
		}
		var err error
		if g.hash, err = hashFile(g.file, end); err != nil {
			return fmt.Errorf("read %s: %w", g.path, err)
		}
		g.hashed = true
	}
	link := format.Link{Segment: g.Number, End: end, LSN: g.lastLSN.Load(), Chain: g.chain}
	g.mu.Lock()
	f := g.table.footer(&g.SegmentHeader, link, g.hash)
	g.mu.Unlock()
	data := format.AppendFooter(nil, f, g.Alignment)
	size := end + int64(len(data))
	if g.size.Load() < size {
		if err := g.file.Resize(size); err != nil {
			return err
		}
		g.size.Store(size)
	}
	if err := k.write(g.file, end, data); err != nil {
		return err
	}
	if err := g.file.Resize(size); err != nil {
		return err
	}
	if err := g.file.Sync(); err != nil {
		return err
	}
	g.size.Store(size)
	trailer, err := format.ReadTrailer(data)
	if err != nil {
		return fmt.Errorf("footer just made: %w", err)
	}
	g.mu.Lock()
	g.trailer, g.table = trailer, nil
	g.mu.Unlock()
	g.setState(stateSealed)
	return nil
}

// cutRemains ends the file of a recovered segment at the segment's end, durably. What stands
// behind it may be left of a frame that was torn. A footer written over that could be torn too,
// and its sectors complete the frame: they need not differ from those that were missing.
func cutRemains(g *segment, end int64) error {
	if g.size.Load() <= end {
		return nil
	}
	if err := g.file.Resize(end); err != nil {
		return err
	}
	g.size.Store(end)
	return g.file.Sync()
}

func (k *keeper) open() (err error) {
	if k.broken != nil {
		return k.broken
	}
	if k.queue == nil {
		k.queue, err = k.s.dir.Queue(backend.QueueOptions{Depth: 1, Many: k.s.cfg.layout == LayoutDedicated})
	}
	return err
}

// write writes data durably; it is a multiple of the alignment long.
func (k *keeper) write(f backend.File, offset int64, data []byte) error {
	b, err := k.queue.Buffer(len(data))
	if err != nil {
		return err
	}
	n := copy(b.Bytes, data)
	k.s.count.bytesWritten.Add(uint64(n))
	batch := &backend.Batch{Writes: []backend.Write{{File: f, Offset: offset, Data: b.Bytes[:n], Buffer: b, Sync: true}}}
	if err := k.queue.Submit(batch); err != nil {
		k.queue.Release(b)
		return err
	}
	if _, k.broken = k.queue.Wait(); k.broken != nil {
		return k.broken // the buffer is the queue's for ever
	}
	k.queue.Release(b)
	return batch.Failed()
}

func batchError(b *backend.Batch) error {
	if b == nil {
		return nil
	}
	return b.Failed()
}

// hashFile returns the XXH64 of the first n bytes of a file.
func hashFile(f io.ReaderAt, n int64) (uint64, error) {
	h := xxhash.New()
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(f, 0, n), make([]byte, min(n, 1<<20)))
	return h.Sum64(), err
}

// retain lets go of the oldest segments that hold nothing any partition needs.
func (k *keeper) retain() {
	defer k.dropFiles()
	for {
		g, only := k.s.segments.oldest()
		if g == nil || only || g.is(stateActive) {
			return
		}
		if g.losses.Load() > 0 || g.live.Load() > 0 && !k.move(g) {
			return
		}
		// The truncations that made it useless, and declarations elsewhere of the
		// partitions that only it names, must be durable before it is gone.
		if err := k.s.do(k.ctx, func() error { return k.s.commit.redeclare(g) }); err != nil {
			k.noSpace(err)
			return
		}
		if g.live.Load() > 0 {
			continue
		}
		k.s.segments.dropOldest()
		k.dropped = append(k.dropped, g)
		k.s.unpin(g)
	}
}

// spacePause is how long retention waits once there was no space for what it appends. Where the
// space comes from cannot be seen: of a group that fails for lack of it another entry may have
// been too much, and it may be freed outside the log. A try costs the writing of a segment's
// header, and that of a move a warning.
const spacePause = 5 * time.Second

// noSpace has the keeper try again later if an error is lack of space.
func (k *keeper) noSpace(err error) {
	if errors.Is(err, ErrNoSpace) {
		k.full = time.After(spacePause)
	}
}

// dropFiles removes, or recycles, the files of dropped segments that nobody reads. It
// goes strictly from the oldest on, each durable before the next: a crash must not leave
// a hole in the row of segments.
func (k *keeper) dropFiles() {
	for len(k.dropped) > 0 && k.dropped[0].pins.Load() == 0 {
		recycled, err := k.dropFile(k.dropped[0])
		if err != nil {
			k.s.cfg.logger.Warn("cannot drop segment, trying again later", "segment", k.dropped[0].path, "error", err)
			return
		}
		k.s.count.dropped.Add(1)
		k.s.cfg.hooks.dropped(k.dropped[0].path, recycled)
		k.dropped = k.dropped[1:]
	}
}

func (k *keeper) dropFile(g *segment) (recycled bool, err error) {
	f := prepared{file: g.file, name: fmt.Sprintf("%s%d%s", recyclePrefix, g.Number, tempSuffix), size: g.size.Load(), recycled: true}
	if !g.abandoned.Load() && k.s.prepare.wanted() {
		if err := k.s.dir.Rename(g.name, f.name); err != nil {
			return false, err
		}
		// Only once the new name is durable may its bytes change: a crash would bring
		// the old name back with the new content.
		if err := k.syncDir(); err != nil {
			return false, err
		}
		k.s.prepare.recycle(f)
		return true, nil
	}
	if err := k.s.dir.Remove(g.name); err != nil {
		return false, err
	}
	if err := k.syncDir(); err != nil {
		return false, err
	}
	return false, g.file.Close()
}

// syncDir makes names durable. Where that fails the log has failed: a second sync may report
// success for a name that is lost, and what is done to the directory after it would be durable
// without it.
func (k *keeper) syncDir() error {
	err := k.s.dir.Sync()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("sync the log's directory: %w", err)
	_ = k.s.do(k.ctx, func() error { // it can only be that the log has failed, or is closed, already
		k.s.commit.fail(err)
		return nil
	})
	return err
}

package wal

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/format"
)

// end returns where a segment is known to end: what its successor, or the close marker,
// says.
func (r *recovery) end(i int) (format.Link, bool) {
	g := r.segments[i]
	if i+1 < len(r.segments) {
		if p := r.segments[i+1].Predecessor; p.Segment == g.Number && p.End >= format.HeaderSize {
			return p, true
		}
		return format.Link{}, false
	}
	if r.marker != nil && r.marker.End.Segment == g.Number {
		return r.marker.End, true
	}
	return format.Link{}, false
}

// scanAll reads footers, and scans the segments that have none, in parallel.
func (r *recovery) scanAll() error {
	r.scans = make([]*scan, len(r.segments))
	r.footers = make([]*format.Footer, len(r.segments))
	r.odd = make([]*format.Footer, len(r.segments))
	errs := make([]error, len(r.segments))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range r.segments {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			errs[i] = r.scanOne(i)
		}()
	}
	wg.Wait()
	for _, sc := range r.scans {
		if sc != nil {
			r.flaws = append(r.flaws, sc.flaws...)
			r.tornTail += sc.tornTail
			r.unchecked += sc.reader.unchecked
			for id, n := range sc.reader.lacking {
				r.lacking[id] += n
			}
		}
	}
	return errors.Join(errs...)
}

func (r *recovery) scanOne(i int) error {
	g := r.segments[i]
	if r.progress != nil {
		defer r.progress(g.size.Load())
	}
	if r.stop != nil {
		if err := r.stop(); err != nil {
			return err
		}
	}
	mismatch, err := r.takeFooter(i)
	if err != nil {
		return err
	}
	if r.mayBeLost(g, r.footers[i]) {
		if err := g.file.Sync(); err != nil {
			return fmt.Errorf("sync segment %s: %w", g.path, err)
		}
	}
	if r.footers[i] == nil {
		g.setState(stateUnsealed)
	} else if !r.everything {
		return nil
	}
	sc, limit := r.newScan(i)
	r.scans[i] = sc
	if r.everything {
		if mismatch != "" {
			sc.remark(0, 0, mismatch)
		}
		if r.footers[i] == nil && sc.reader.rising {
			sc.remark(limit, 0, "the segment was rebuilt by a repair, and its footer is gone")
		}
		if err := sc.hashAll(); err != nil {
			return err
		}
	}
	if err := sc.run(); err != nil {
		return err
	}
	if err := r.checkScan(g, sc, limit, r.footers[i]); err != nil {
		return err
	}
	return r.restorePadding(g, sc)
}

// mayBeLost tells whether what is served of a segment, with this footer or nil for none, may be in
// memory only: what a scan finds, or a footer whose writer died before it was durable, or
// the size of a file that ends with it. To a reader a footer says nothing that the frames do not.
func (r *recovery) mayBeLost(g *segment, footer *format.Footer) bool {
	if r.looks {
		return false
	}
	return footer == nil || !r.s.cfg.readOnly && !r.sealedAtClose(g)
}

// sealedAtClose tells whether a segment has a footer that was durable when the log was closed. The
// close marker says so of those that there were: the writer that goes on takes it away only after it
// has begun the next one.
func (r *recovery) sealedAtClose(g *segment) bool {
	return r.marker != nil && !r.marker.Unsealed && g.Number <= r.marker.End.Segment
}

// takeFooter reads the footer of segment i, if it has one that is sound and ends where the
// segment is known to end; mismatch tells if it ends elsewhere.
func (r *recovery) takeFooter(i int) (mismatch string, err error) {
	g := r.segments[i]
	trailer, sealed := g.readTrailer(g.size.Load())
	if !sealed {
		return "", nil
	}
	f, err := g.loadFooter(trailer)
	if errors.Is(err, format.ErrCorrupt) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if whole, err := g.footerPadded(trailer); !whole || err != nil {
		r.odd[i] = f
		return "", err
	}
	if end, exact := r.end(i); exact && f.End != end {
		r.odd[i] = f
		return fmt.Sprintf("the footer says that the segment ends at %+v, what follows it says %+v", f.End, end), nil
	}
	r.footers[i], g.rebuilt = f, f.Repaired
	g.trailer = trailer
	g.setState(stateSealed)
	return "", nil
}

// restorePadding gives the last frame its padding back if the file was cut there: the
// segment ends behind it, and will be sealed there.
func (r *recovery) restorePadding(g *segment, sc *scan) error {
	end := sc.end().End
	if r.s.cfg.readOnly || sc.exact || end <= g.size.Load() {
		return nil
	}
	if err := g.file.Resize(end); err != nil {
		return fmt.Errorf("enlarge segment %s to where its last frame ends: %w", g.path, err)
	}
	if err := g.file.Sync(); err != nil {
		return fmt.Errorf("sync segment %s: %w", g.path, err)
	}
	g.size.Store(end)
	return nil
}

// newScan makes the scan of segment i, and tells up to where the segment should go.
func (r *recovery) newScan(i int) (sc *scan, limit int64) {
	g, f := r.segments[i], r.footers[i]
	end, exact := r.end(i)
	limit = g.size.Load()
	rebuilt := false
	switch {
	case f != nil:
		limit, exact = f.BodyAt, true
	case exact && r.everything:
		limit = r.rebuiltEnd(g, end)
		rebuilt = limit > end.End
	case exact:
		limit = end.End
	case r.odd[i] != nil: // only its padding is not sound: all frames were durable before it was written
		limit, exact = r.odd[i].BodyAt, true
	}
	sc = newScan(g, min(limit, g.size.Load()), r.pool)
	sc.exact, sc.salvage = exact, true
	sc.reader.loose = g.guessed
	if r.everything {
		sc.reader.deep, sc.reader.header, sc.reader.name = r.s.cfg, &g.SegmentHeader, sc.name
	}
	sc.reader.rising = rebuilt || f != nil && f.Repaired
	if i+1 < len(r.segments) && !exact && r.segments[i+1].guessed {
		sc.stop = r.segments[i+1].FirstLSN
	}
	if r.stop != nil {
		sc.each = func(*frame) error { return r.stop() }
	}
	return sc, limit
}

// rebuiltEnd returns where the frames of a segment without a footer end, of which it is known
// where the original ended: one that was rebuilt may be longer, and a frame of it reach across
// that end. Frames of the original behind its end are void; their LSNs lie behind its end too.
func (r *recovery) rebuiltEnd(g *segment, end format.Link) int64 {
	reader := frameReader{
		window: window{file: g.file, limit: g.size.Load(), chunk: windowSize}, epoch: g.Epoch, alignment: g.Alignment, sum: g.Checksum,
	}
	for at := int64(format.HeaderSize); ; {
		h, err := reader.search(at)
		if err != nil || h == nil || h.LSN > end.LSN {
			return max(at, end.End) // an error comes again when the frames are read
		}
		at = h.Position + format.AlignUp(h.Length, g.Alignment)
	}
}

// hashAll has the scan hash the segment.
func (s *scan) hashAll() error {
	head := make([]byte, format.HeaderSize)
	if _, err := s.seg.file.ReadAt(head, 0); err != nil {
		return fmt.Errorf("read %s: %w", s.seg.at(0), err)
	}
	s.hash = xxhash.New()
	_, _ = s.hash.Write(head) // a hash never fails
	return nil
}

// checkScan compares what a scan found with where the segment should end and with its
// footer.
func (r *recovery) checkScan(g *segment, sc *scan, limit int64, f *format.Footer) error {
	if size := g.size.Load(); sc.exact && limit > size {
		sc.add(size, limit-size, fmt.Sprintf("the file ends early, the segment goes to byte %d", limit))
	}
	switch {
	case len(sc.flaws) > 0 || !r.everything:
		return nil
	case f == nil:
		return r.checkFooterRemains(g, sc)
	}
	if !g.guessed && sc.hash.Sum64() != f.XXH64 {
		sc.remark(0, f.BodyAt, fmt.Sprintf("XXH64 is %016x, should be %016x: bytes outside all frames have changed", sc.hash.Sum64(), f.XXH64))
	}
	if sc.table.records != f.Records || sc.table.frames != f.Frames {
		sc.remark(f.BodyAt, 0, fmt.Sprintf("%d frames with %d records, the footer says %d with %d",
			sc.table.frames, sc.table.records, f.Frames, f.Records))
	}
	if len(sc.flaws) == 0 {
		sc.table, sc.notes = nil, nil // the footer says all that
	}
	return nil
}

// checkEnds settles where each segment ends, and compares it with what its successor says.
func (r *recovery) checkEnds() {
	for i, g := range r.segments {
		var end format.Link
		if f := r.footers[i]; f != nil {
			end = f.End
			g.end.Store(f.BodyAt)
			g.maxTime.Store(f.MaxTimestamp)
			g.records.Store(f.Records)
		} else {
			sc := r.scans[i]
			end = sc.end()
			g.end.Store(min(end.End, g.size.Load()))
			g.table = sc.table
			g.maxTime.Store(sc.table.maxTime)
			g.records.Store(sc.table.records)
		}
		g.lastLSN.Store(end.LSN)
		g.chain = end.Chain
		if want, exact := r.end(i); exact && end != want && !r.damagedIn(g) {
			r.flaws = append(r.flaws, flaw{lsn: end.LSN + 1, Damage: Damage{
				Segment: g.path, Offset: min(end.End, want.End), Length: max(0, want.End-end.End),
				Reason: fmt.Sprintf("the segment ends at %+v, what follows it says %+v", end, want),
			}})
		}
		r.s.commit.tail = end
		if sc := r.scans[i]; sc != nil {
			r.s.durable.Store(max(r.s.durable.Load(), sc.durable))
		}
	}
}

func (r *recovery) damagedIn(g *segment) bool {
	for _, f := range r.flaws {
		if f.Segment == g.path {
			return true
		}
	}
	return false
}

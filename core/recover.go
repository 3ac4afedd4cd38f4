package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/chronik-go/wal/core/format"
)

// recovery finds out what a log holds. It changes nothing on disk but for temporary files,
// which a writer removes, so it can be interrupted and run again.
type recovery struct {
	s *shard
	// everything reads all frames of sealed segments too and compares their hash.
	everything bool
	// salvage goes on behind damage and collects it.
	salvage bool
	pool    *bufferPool
	// progress is told of every segment read.
	progress func(bytes int64)

	numbers    []uint64
	segments   []*segment
	scans      []*scan // nil for a segment whose footer is trusted
	footers    []*format.Footer
	marker     *format.Marker
	damage     []Damage
	tornTail   int64
	partitions map[uint32]*Partition
}

// recover runs a recovery that configure has set up. Beside a running writer it runs it
// again as long as that drops segments under it: those look like damage, and are none.
func (s *shard) recover(configure func(*recovery)) (*recovery, error) {
	for {
		r := &recovery{s: s, pool: s.pool}
		configure(r)
		err := r.run()
		if !s.cfg.readOnly || err == nil && len(r.damage) == 0 || !r.overtaken() {
			return r, err
		}
		for _, g := range s.segments.all() {
			_ = g.file.Close()
		}
		s.segments.clear()
		s.durable.Store(0)
		s.marker = false
	}
}

// overtaken reports whether segments that the recovery listed are gone now.
func (r *recovery) overtaken() bool {
	before := r.numbers
	again := recovery{s: r.s}
	now, err := again.list()
	return err == nil && len(before) > 0 && (len(now) == 0 || now[0] > before[0])
}

// run recovers the shard's log: its segments, and what each partition has. Damage is
// returned as *DamageError unless it is to be salvaged.
func (r *recovery) run() error {
	numbers, err := r.list()
	if err != nil {
		return err
	}
	r.numbers = numbers
	for _, n := range numbers {
		if err := r.open(n); err != nil {
			return err
		}
	}
	r.checkChain()
	if err := r.scanAll(); err != nil {
		return err
	}
	r.checkEnds()
	r.partitions = map[uint32]*Partition{}
	for i := range r.segments {
		r.apply(i)
	}
	r.checkHoles()
	if len(r.damage) > 0 && !r.salvage {
		return &DamageError{Damage: r.damage}
	}
	return nil
}

// list returns the numbers of the segments, in order, and reads the close marker.
func (r *recovery) list() ([]uint64, error) {
	names, err := r.s.dir.List()
	if err != nil {
		return nil, fmt.Errorf("list the log's files: %w", err)
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := parseSegmentName(name); ok {
			numbers = append(numbers, n)
		} else if strings.HasSuffix(name, tempSuffix) && !r.s.cfg.readOnly {
			if err := r.s.dir.Remove(name); err != nil {
				return nil, fmt.Errorf("remove temporary file %s: %w", r.s.path(name), err)
			}
		}
	}
	slices.Sort(numbers)
	if !slices.Contains(names, markerName) {
		return numbers, nil
	}
	return numbers, r.readMarker()
}

func (r *recovery) readMarker() error {
	f, err := r.s.dir.Open(markerName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a writer that just opened the log took it away
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", r.s.path(markerName), err)
	}
	defer f.Close()
	var b [format.MarkerSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return fmt.Errorf("read %s: %w", r.s.path(markerName), err)
	}
	m, err := format.ReadMarker(b[:])
	if err != nil {
		// A marker is durable before it gets its name.
		r.add(Damage{Segment: r.s.path(markerName), Length: format.MarkerSize, Reason: err.Error()})
		return nil
	}
	r.marker, r.s.marker = &m, true
	return nil
}

func (r *recovery) add(d Damage) { r.damage = append(r.damage, d) }

// open opens a segment and reads its header and, if it has one, its footer.
func (r *recovery) open(number uint64) error {
	name := segmentName(number)
	f, err := r.s.dir.Open(name)
	if err != nil {
		return fmt.Errorf("open segment %s: %w", r.s.path(name), err)
	}
	g := &segment{name: name, path: r.s.path(name), file: f}
	r.s.segments.add(g)
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("size of segment %s: %w", g.path, err)
	}
	g.size.Store(size)
	head := make([]byte, min(size, format.HeaderSize))
	if _, err := f.ReadAt(head, 0); err != nil {
		return fmt.Errorf("read header of segment %s: %w", g.path, err)
	}
	g.SegmentHeader, err = format.ReadSegmentHeader(head)
	if errors.Is(err, format.ErrVersion) {
		return fmt.Errorf("segment %s: %w", g.path, err)
	}
	if err == nil && g.Number != number {
		err = fmt.Errorf("%w: the header is of segment %d", format.ErrCorrupt, g.Number)
	}
	if err != nil {
		r.add(Damage{Segment: g.path, Length: format.HeaderSize, Reason: err.Error()})
		if !guessHeader(g, number) {
			return nil
		}
	}
	r.segments = append(r.segments, g)
	return nil
}

// guessHeader makes up a header, for salvage, from the first sound frame of a segment
// that has lost its own.
func guessHeader(g *segment, number uint64) bool {
	w := window{file: g.file, limit: g.size.Load(), chunk: windowSize}
	for at := int64(format.HeaderSize); at+format.FrameHeaderSize <= w.limit; at += format.MinAlignment {
		b, err := w.bytes(at, format.FrameHeaderSize)
		if err != nil {
			return false
		}
		if !format.IsFrame(b) {
			continue
		}
		if h, err := format.ReadFrameHeader(b); err == nil && h.Position == at {
			g.SegmentHeader = format.SegmentHeader{
				Alignment: format.MinAlignment, Number: number, Epoch: h.Epoch, FirstLSN: h.LSN,
				Predecessor: format.Link{Segment: number - 1, LSN: h.LSN - 1, Chain: h.Chain},
			}
			return true
		}
	}
	return false
}

// checkChain tells whether the segments form one row.
func (r *recovery) checkChain() {
	for i, g := range r.segments {
		if i == 0 {
			r.s.id = g.Log
			continue
		}
		prev := r.segments[i-1]
		switch {
		case g.Log != r.s.id && g.Log != format.LogID{}:
			r.add(Damage{Segment: g.path, Length: format.HeaderSize, Reason: fmt.Sprintf("segment of another log (%x, not %x)", g.Log, r.s.id)})
		case g.Predecessor.Segment != prev.Number || g.Number != prev.Number+1:
			r.add(Damage{Segment: segmentNameIn(r.s, prev.Number+1), Reason: fmt.Sprintf(
				"segments %d to %d are missing", prev.Number+1, g.Number-1)})
		}
	}
	if m := r.marker; m != nil {
		n := len(r.segments)
		if n == 0 || r.segments[n-1].Number < m.End.Segment {
			r.add(Damage{Segment: segmentNameIn(r.s, m.End.Segment), Reason: fmt.Sprintf(
				"the log was closed at segment %d, which is missing", m.End.Segment)})
		}
	}
}

func segmentNameIn(s *shard, number uint64) string { return s.path(segmentName(number)) }

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
			r.damage = append(r.damage, sc.damage...)
			r.tornTail += sc.tornTail
		}
	}
	return errors.Join(errs...)
}

func (r *recovery) scanOne(i int) error {
	g := r.segments[i]
	if r.progress != nil {
		defer r.progress(g.size.Load())
	}
	end, exact := r.end(i)
	trailer, sealed := g.readTrailer(g.size.Load())
	if sealed {
		f, err := g.loadFooter(trailer)
		if err == nil && (!exact || f.End == end) {
			r.footers[i] = f
			g.trailer = trailer
			g.setState(stateSealed)
		}
		if err != nil && !errors.Is(err, format.ErrCorrupt) {
			return err
		}
		if !r.everything && r.footers[i] != nil {
			return nil
		}
	}
	limit := g.size.Load()
	if f := r.footers[i]; f != nil {
		limit, exact = f.BodyAt, true
	} else if exact {
		limit = end.End
	}
	if !sealed || r.footers[i] == nil {
		// What a scan finds may be in memory only: make it durable before it is served.
		if err := g.file.Sync(); err != nil {
			return fmt.Errorf("sync segment %s: %w", g.path, err)
		}
		g.setState(stateUnsealed)
	}
	sc := newScan(g, min(limit, g.size.Load()), r.pool)
	sc.exact, sc.salvage = exact, r.salvage || r.everything
	sc.reader.loose = g.Log == format.LogID{} // a guessed header
	if r.footers[i] != nil && r.footers[i].Repaired {
		sc.reader.loose = true
	}
	if r.everything && r.footers[i] != nil {
		sc.hash = xxhash.New()
		head := make([]byte, format.HeaderSize)
		if _, err := g.file.ReadAt(head, 0); err != nil {
			return fmt.Errorf("read %s: %w", g.at(0), err)
		}
		_, _ = sc.hash.Write(head)
	}
	r.scans[i] = sc
	if err := sc.run(); err != nil {
		return err
	}
	r.checkScan(g, sc, limit, r.footers[i])
	return nil
}

// checkScan compares what a scan found with where the segment should end and with its
// footer.
func (r *recovery) checkScan(g *segment, sc *scan, limit int64, f *format.Footer) {
	if sc.exact && limit > g.size.Load() {
		sc.add(g.size.Load(), limit-g.size.Load(), fmt.Sprintf("the file ends early, the segment goes to byte %d", limit))
	}
	if f == nil || len(sc.damage) > 0 {
		return
	}
	if sc.hash != nil && sc.hash.Sum64() != f.XXH64 {
		sc.add(0, f.BodyAt, fmt.Sprintf("XXH64 is %016x, should be %016x: bytes outside all frames have changed", sc.hash.Sum64(), f.XXH64))
	}
	if sc.table.records != f.Records || sc.table.frames != f.Frames {
		sc.add(f.BodyAt, 0, fmt.Sprintf("%d frames with %d records, the footer says %d with %d",
			sc.table.frames, sc.table.records, f.Frames, f.Records))
	}
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
			g.end.Store(end.End)
			g.table = sc.table
			g.maxTime.Store(sc.table.maxTime)
			g.records.Store(sc.table.records)
		}
		g.lastLSN.Store(end.LSN)
		g.chain = end.Chain
		if want, exact := r.end(i); exact && end != want && !r.damagedIn(g) {
			r.add(Damage{Segment: g.path, Offset: min(end.End, want.End), Length: max(0, want.End-end.End), Reason: fmt.Sprintf(
				"the segment ends at byte %d, LSN %d, CRC %08x; what follows it says byte %d, LSN %d, CRC %08x",
				end.End, end.LSN, end.Chain, want.End, want.LSN, want.Chain)})
		}
		r.s.commit.tail = end
		if sc := r.scans[i]; sc != nil {
			r.s.durable.Store(max(r.s.durable.Load(), sc.durable))
		}
	}
}

func (r *recovery) damagedIn(g *segment) bool {
	return slices.ContainsFunc(r.damage, func(d Damage) bool { return d.Segment == g.path })
}

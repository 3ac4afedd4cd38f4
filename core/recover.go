package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/chronik-go/wal/core/backend"
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
	// apart keeps the segments off the shard's list: its readers may not see them yet.
	apart bool
	// looks only: nothing is served, so nothing is made durable.
	looks bool
	// giveUp names segments to be left out.
	giveUp map[string]bool
	// progress is told of every segment read.
	progress func(bytes int64)
	// stop, if set, is asked now and then; its error ends the recovery.
	stop func() error

	numbers    []uint64
	segments   []*segment
	scans      []*scan // nil for a segment whose footer is trusted
	footers    []*format.Footer
	odd        []*format.Footer // they count as none, for their padding or their end, but are sound in themselves
	marker     *format.Marker
	refused    []refused
	badMarker  *refused
	flaws      []flaw
	tornTail   int64
	unchecked  int64            // batches whose contents could not be looked at
	lacking    map[uint32]int64 // batches whose dictionary is missing or damaged, by its id
	partitions map[uint32]*Partition

	// What entries were lost, and where their partitions stood.
	seen   map[uint32]uint64 // LSN of a partition's newest entry, or before its newest declaration
	ended  map[uint32]uint64 // LSN of a partition's newest entry that tells where it ends
	begun  map[uint32]beginning
	losing map[uint32]int // index of the newest mend of a partition, if only that can have been longer
	starts map[startKey]start
	mends  []*mend
	holes  []*mend
}

// recover runs a recovery that configure has set up. Beside a running writer it runs it
// again as long as that drops segments under it: those look like damage, and are none.
func (s *shard) recover(configure func(*recovery)) (*recovery, error) {
	for {
		r := &recovery{s: s, pool: s.pool}
		configure(r)
		err := r.run()
		if !s.cfg.readOnly || err == nil && len(r.flaws) == 0 || !r.overtaken() {
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
	r.lacking = map[uint32]int64{}
	r.partitions, r.seen, r.ended = map[uint32]*Partition{}, map[uint32]uint64{}, map[uint32]uint64{}
	r.begun, r.starts, r.losing = map[uint32]beginning{}, map[startKey]start{}, map[uint32]int{}
	// A process may have died between giving a segment its name and making that durable. A
	// reader would take its predecessor to end where it says, until a crash takes the name;
	// a successor's name would be durable by itself, and a crash leave a hole.
	if !r.looks {
		if err := r.s.dir.Sync(); err != nil {
			return fmt.Errorf("sync the log's directory: %w", err)
		}
	}
	for _, n := range numbers {
		if err := r.open(n); err != nil {
			return err
		}
	}
	if err := r.checkOwner(); err != nil {
		return err
	}
	r.checkChain()
	if err := r.scanAll(); err != nil {
		return err
	}
	r.checkEnds()
	r.checkRow()
	for i := range r.segments {
		r.apply(i)
	}
	r.checkLosses()
	if len(r.flaws) > 0 && !r.salvage {
		return &DamageError{Damage: r.damage()}
	}
	return r.checkAge()
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
		} else if isTemporary(name) && !r.s.cfg.readOnly {
			if err := r.s.dir.Remove(name); err != nil {
				return nil, fmt.Errorf("remove temporary file %s: %w", r.s.path(name), causeOf(err, name))
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
	if errors.Is(err, backend.ErrNotRegular) && r.salvage {
		return r.refuseMarker(false, err)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", r.s.path(markerName), causeOf(err, markerName))
	}
	defer f.Close()
	var b [format.MarkerSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", r.s.path(markerName), err)
	}
	m, err := format.ReadMarker(b[:n])
	if errors.Is(err, format.ErrVersion) {
		return fmt.Errorf("%s: %w", r.s.path(markerName), err)
	}
	if err != nil {
		// A marker is durable before it gets its name.
		return r.refuseMarker(true, err)
	}
	r.marker, r.s.marker = &m, true
	return nil
}

// refuseMarker leaves out a close marker that tells nothing.
func (r *recovery) refuseMarker(file bool, reason error) error {
	r.note(r.s.path(markerName), 0, format.MarkerSize, reason.Error())
	r.badMarker = &refused{file: file}
	return nil
}

// open opens a segment and reads its header and, if it has one, its footer.
func (r *recovery) open(number uint64) error {
	name := segmentName(number)
	f, err := r.s.dir.Open(name)
	if errors.Is(err, backend.ErrNotRegular) && r.salvage {
		r.refuse(number, nil, 0, err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("open segment %s: %w", r.s.path(name), causeOf(err, name))
	}
	g := &segment{name: name, path: r.s.path(name), file: f}
	if err := r.takeHeader(g, number); err != nil {
		_ = f.Close()
		return err
	}
	return nil
}

// takeHeader reads the header of a segment, and takes it in if it is one of the log's.
func (r *recovery) takeHeader(g *segment, number uint64) error {
	f := g.file
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
	switch {
	case errors.Is(err, format.ErrVersion):
		return fmt.Errorf("segment %s: %w", g.path, err)
	case err == nil && g.Number != number:
		r.refuse(number, g, size, fmt.Sprintf("the header is that of segment %d", g.Number))
		return nil
	case r.giveUp[g.path]:
		r.refuse(number, g, size, "what it says does not fit the rest of the log")
		return nil
	case err != nil && !guessHeader(g, number):
		r.refuse(number, g, size, err.Error())
		return nil
	case err != nil:
		r.flaws = append(r.flaws, flaw{
			lsn: g.FirstLSN, Damage: Damage{Segment: g.path, Length: format.HeaderSize, Reason: err.Error()},
		})
	}
	r.segments = append(r.segments, g)
	if !r.apart {
		r.s.segments.add(g)
	}
	return nil
}

// checkChain settles which log this is, and leaves out segments of others.
func (r *recovery) checkChain() {
	r.s.id = r.commonID()
	r.segments = slices.DeleteFunc(slices.Clone(r.segments), func(g *segment) bool {
		switch {
		case g.guessed && !r.fits(g):
			r.refuse(g.Number, g, 0, "the header is damaged, and the frames are those of another segment")
		case !g.guessed && g.Log != r.s.id:
			r.refuse(g.Number, g, 0, fmt.Sprintf("segment of another log (%x, not %x)", g.Log, r.s.id))
		default:
			return false
		}
		return true
	})
	r.findKeys()
	if m := r.marker; m != nil && len(r.segments) > 0 && m.Log != r.s.id {
		r.note(r.s.path(markerName), 0, format.MarkerSize, fmt.Sprintf("close marker of another log (%x, not %x)", m.Log, r.s.id))
		r.marker, r.badMarker = nil, &refused{file: true}
	}
}

// fits tells whether the frames of a segment that has lost its header can be that
// segment's: their epoch is no other's, their LSN lies where it should.
func (r *recovery) fits(g *segment) bool {
	return !slices.ContainsFunc(r.segments, func(o *segment) bool {
		return !o.guessed && (o.Epoch == g.Epoch || o.Number < g.Number && o.FirstLSN > g.FirstLSN ||
			o.Number > g.Number && o.FirstLSN < g.FirstLSN)
	})
}

// commonID is the id of the log: what most segments say, where no member file says it.
func (r *recovery) commonID() (id format.LogID) {
	if m := r.s.member; m != nil {
		return m.Log
	}
	count := map[format.LogID]int{}
	for _, g := range r.segments {
		if g.guessed {
			continue
		}
		count[g.Log]++
		if count[g.Log] > count[id] {
			id = g.Log
		}
	}
	if r.marker != nil && (len(count) == 0 || count[r.marker.Log] == count[id]) {
		id = r.marker.Log
	}
	for _, g := range r.segments {
		if id != (format.LogID{}) {
			break
		}
		if k := r.ownKey(g); k != nil { // all headers are lost
			id = k.Log
		}
	}
	return id
}

// refuse leaves a file out that has a segment's name and is none of this log.
func (r *recovery) refuse(number uint64, g *segment, length int64, reason string) {
	f := flaw{Damage: Damage{Segment: r.s.path(segmentName(number)), Length: length, Reason: reason}}
	if g != nil {
		r.s.segments.remove(g)
		_ = g.file.Close()
		f.Length = g.size.Load()
	}
	r.flaws = slices.DeleteFunc(r.flaws, func(other flaw) bool { return other.Segment == f.Segment })
	r.flaws = append(r.flaws, f)
	r.refused = append(r.refused, refused{number: number, file: g != nil})
}

// refused is a file that has a segment's name and is none of this log.
type refused struct {
	number uint64
	file   bool // it is a regular file
}

// blameRefused notes at refused files that entries from an LSN on are missing by them. It
// reports whether there is such a file among these segments.
func (r *recovery) blameRefused(from, to, lsn uint64) (found bool) {
	for _, x := range r.refused {
		if x.number < from || x.number > to {
			continue
		}
		for i := range r.flaws {
			if f := &r.flaws[i]; f.Segment == r.s.path(segmentName(x.number)) {
				f.lsn, found = lsn, true
			}
		}
	}
	return found
}

// checkRow tells whether the segments form one row, up to the end that the close marker
// names.
func (r *recovery) checkRow() {
	for i, g := range r.segments {
		if g.guessed {
			r.dateHeader(i)
		}
		if i == 0 {
			continue
		}
		r.checkStep(i-1, g.Predecessor.Segment)
		if prev := r.segments[i-1]; g.Predecessor.Segment < prev.Number {
			r.note(g.path, 0, format.HeaderSize, fmt.Sprintf("the segment follows segment %d, not %d", g.Predecessor.Segment, prev.Number))
		}
	}
	if r.marker != nil {
		r.checkStep(len(r.segments)-1, r.marker.End.Segment)
	}
}

// dateHeader settles what may be lost with the header of segment i: the frames from the end
// of the segment before it up to the first that is there.
func (r *recovery) dateHeader(i int) {
	g := r.segments[i]
	lsn := g.FirstLSN
	if f := r.footers[i]; f != nil {
		for _, p := range f.Partitions {
			if len(p.Runs) > 0 {
				lsn = min(lsn, p.Runs[0].LSN)
			}
		}
	}
	if i == 0 {
		lsn = 1 // whatever came before is gone
	} else if r.segments[i-1].Number == g.Number-1 {
		lsn = r.joinHeader(i, lsn)
	}
	g.FirstLSN, g.Predecessor.LSN = lsn, lsn-1
	for j := range r.flaws {
		if f := &r.flaws[j]; f.Segment == g.path && f.Offset == 0 && f.Length == format.HeaderSize {
			f.lsn = lsn
		}
	}
}

// joinHeader settles the first LSN of segment i, whose header is lost, by the segment
// before it. That one's end is a fact if it has a footer; else it is shown to end too early
// by what comes next.
func (r *recovery) joinHeader(i int, lsn uint64) uint64 {
	prev := r.segments[i-1]
	next := prev.lastLSN.Load() + 1
	if r.footers[i-1] != nil || lsn <= next {
		return next
	}
	r.flaws = append(r.flaws, flaw{lsn: next, Damage: Damage{
		Segment: prev.path, Offset: prev.end.Load(),
		Reason: fmt.Sprintf("the segment ends before LSN %d, the next one begins with %d", next, lsn),
	}})
	return lsn
}

// checkStep tells whether segments up to the last one are missing behind segment i, or
// altogether for i == -1.
func (r *recovery) checkStep(i int, last uint64) {
	number, lsn := last, uint64(1)
	if i >= 0 {
		number, lsn = r.segments[i].Number+1, r.segments[i].lastLSN.Load()+1
	}
	if last < number {
		return
	}
	if r.blameRefused(number, last, lsn) {
		return
	}
	reason := fmt.Sprintf("segment %d is missing", number)
	if last > number {
		reason = fmt.Sprintf("segments %d to %d are missing", number, last)
	}
	r.flaws = append(r.flaws, flaw{lsn: lsn, Damage: Damage{Segment: r.s.path(segmentName(number)), Reason: reason}})
}

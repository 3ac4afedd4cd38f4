package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// victim is a log that is sound, to be damaged in copies.
type victim struct {
	disk   *sim.Disk
	wrap   func(*sim.Disk) backend.Backend
	want   *recovered
	files  []string // its segments, oldest first
	closed bool     // it was closed cleanly
	known  *known
	parts  map[key]*part
	c      *counts
}

// newVictim runs a workload and keeps what it leaves: after a clean close, or as a power
// failure finds it with nothing under way.
func newVictim(seed uint64, closed bool, wrap func(*sim.Disk) backend.Backend) (*victim, *Violation) {
	p := newPlan(seed)
	p.setMode(wal.FsyncAlways)
	p.rounds, p.ops, p.shared = 1, 12, 1
	p.options = append(p.options, wal.WithShards(1), wal.WithMoveLimit(0))
	d := sim.New(p.disk)
	k := &known{ops: map[uint64]*op{}}
	w := newWorkload(p, d, wrap(d), k, nil)
	w.keep, w.keepClosed = true, closed
	if _, found := w.run(); len(found) > 0 {
		return nil, found[0]
	}
	v := &victim{disk: w.kept, wrap: wrap, closed: closed, known: k, parts: w.parts, c: &counts{states: map[uint64]struct{}{}, outcomes: map[uint64]struct{}{}}}
	v.want = readOnly(wrap(v.disk.Clone()), true, nil)
	for _, name := range v.disk.Files(dir) {
		if isSegment(name) {
			v.files = append(v.files, name)
		}
	}
	slices.Sort(v.files)
	if v.want.err == nil && len(v.files) == 0 {
		return nil, violation(AckedDurable, "no segment is left of what was acknowledged")
	}
	return v, v.want.err
}

// harm is one damage.
type harm struct {
	text string
	file string
	// off and n bound what was changed; n is 0 for a whole file.
	off, n int64
	do     func(d *sim.Disk) error
	// forged: it is sound by itself, only the frame behind it tells.
	forged bool
}

// harms draws a damage of each kind.
func (v *victim) harms(r *rand.Rand) (list []harm) {
	name := v.files[r.IntN(len(v.files))]
	if r.IntN(3) == 0 {
		name = v.files[len(v.files)-1]
	}
	p := dir + "/" + name
	b, err := v.disk.ReadFile(p)
	if err != nil {
		return nil
	}
	size := int64(len(b))
	used := size
	for used > format.HeaderSize && b[used-1] == 0 {
		used--
	}
	at := r.Int64N(used)
	sector := at / sim.SectorSize * sim.SectorSize
	n := min(int64(1+r.IntN(4))*sim.SectorSize, size-sector)
	from := r.Int64N(used) / sim.SectorSize * sim.SectorSize
	bit := r.IntN(8)
	m := min(n, size-from)
	garbage := make([]byte, n)
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	cut := sector
	list = []harm{
		{text: fmt.Sprintf("bit %d of byte %d flipped", bit, at), file: name, off: at, n: 1, do: func(d *sim.Disk) error { return d.FlipBit(p, at, bit) }},
		{text: fmt.Sprintf("%d bytes at %d zeroed", n, sector), file: name, off: sector, n: n, do: func(d *sim.Disk) error { return d.Zero(p, sector, n) }},
		{text: fmt.Sprintf("%d bytes at %d overwritten", n, sector), file: name, off: sector, n: n, do: func(d *sim.Disk) error { return d.Overwrite(p, sector, garbage) }},
		{text: fmt.Sprintf("%d bytes misdirected from %d to %d", m, from, sector), file: name, off: sector, n: m, do: func(d *sim.Disk) error { return d.Misdirect(p, from, sector, min(m, size-sector)) }},
		{text: fmt.Sprintf("cut to %d bytes", cut), file: name, off: cut, n: size - cut, do: func(d *sim.Disk) error { return d.Truncate(p, cut) }},
		{text: "deleted", file: name, off: 0, n: 0, do: func(d *sim.Disk) error { return d.Delete(p) }},
	}
	return list
}

// forgeries are damages that are sound in themselves: each changes a bit of a value in one
// of the last segment's frames and makes all its checksums right again. It is what a write
// that was lost leaves of another history of the log; only the frame behind it can tell.
func (v *victim) forgeries() (list []harm, err error) {
	name := v.files[len(v.files)-1]
	b, err := v.disk.ReadFile(dir + "/" + name)
	if err != nil {
		return nil, err
	}
	head, err := format.ReadSegmentHeader(b)
	if err != nil {
		return nil, err
	}
	at := int64(format.HeaderSize)
	for h, ok := frameAt(b, at, head.Epoch); ok; h, ok = frameAt(b, at, head.Epoch) {
		if frame, ok := forge(b[at:at+h.Length], h, head.Checksum); ok {
			place := at
			list = append(list, harm{
				text: fmt.Sprintf("another frame of %d bytes at %d", h.Length, at), forged: true, file: name, off: at, n: h.Length,
				do: func(d *sim.Disk) error { return d.Overwrite(dir+"/"+name, place, frame) },
			})
		}
		at += format.AlignUp(h.Length, head.Alignment)
	}
	return list, nil
}

// frameAt returns the header of the frame of an epoch that stands at a position.
func frameAt(b []byte, at int64, epoch uint64) (h format.FrameHeader, ok bool) {
	if at+format.FrameHeaderSize > int64(len(b)) {
		return h, false
	}
	h, err := format.ReadFrameHeader(b[at:])
	return h, err == nil && h.Epoch == epoch && at+h.Length <= int64(len(b))
}

// forge changes a frame that begins with data.
func forge(b []byte, h format.FrameHeader, sum format.Checksum) (frame []byte, ok bool) {
	frame = slices.Clone(b)
	entries, err := format.ReadDirectory(nil, h, frame[h.DirectoryAt():])
	if err != nil || entries[0].Kind != format.KindData {
		return nil, false
	}
	e := entries[0]
	data := frame[format.FrameHeaderSize : format.FrameHeaderSize+e.Length]
	data[len(data)-1] ^= 1
	e.CRC = sum.Sum(data)
	format.PutEntry(frame[h.DirectoryAt():], e)
	h.DirectoryCRC = format.CRC(frame[h.DirectoryAt():])
	format.PutFrameHeader(frame, h)
	return frame, true
}

// check damages a copy of the log and looks at what an open makes of it.
func (v *victim) check(h harm) *Violation {
	d := v.disk.Clone()
	if err := h.do(d); err != nil {
		return violation(DamageReported, "the damage failed: %v", err)
	}
	v.c.raw++
	v.c.recoveries++
	silent := v.maySuffer(h)
	m, err := wal.Open(dir, wal.WithBackend(v.wrap(d.Clone())), wal.WithReadOnly(), readerKey)
	if err != nil {
		if !silent { // else what contradicts the cut may be told
			return v.refused(d, h, err)
		}
		return nil
	}
	got := readAll(m, true)
	if err := m.Close(); err != nil {
		return violation(DamageReported, "close: %v", err)
	}
	v.c.add(d.Hash(), got)
	if got.err != nil || got.equal(v.want) || silent && v.prefix(got) {
		return nil //nolint:nilerr // an error is a right answer to damage
	}
	return violation(DamageReported, "no error: %v where %v was", got.parts, v.want.parts)
}

// refused checks the error of an open, and what an open that allows damage tells.
func (v *victim) refused(d *sim.Disk, h harm, err error) *Violation {
	var de *wal.DamageError
	if errors.Is(err, wal.ErrNotLog) && len(v.files) == 1 && h.n == 0 {
		return nil // nothing is left to tell that there was a log
	}
	if !errors.As(err, &de) {
		if errors.Is(err, format.ErrVersion) {
			return nil
		}
		return violation(DamageReported, "the error is no *DamageError: %v", err)
	}
	if h.forged {
		return nil
	}
	if !slices.ContainsFunc(de.Damage, func(x wal.Damage) bool { return h.meets(x) }) {
		return violation(DamageReported, "the error does not name the place: %v", err)
	}
	m, err := wal.Open(dir, wal.WithBackend(v.wrap(d)), wal.WithReadOnly(), wal.WithAllowDamage(), readerKey)
	if errors.Is(err, wal.ErrNotLog) && len(v.files) == 1 {
		return nil // nothing sound is left
	}
	if err != nil {
		return violation(DamageReported, "an open that allows damage: %v", err)
	}
	defer func() { _ = m.Close() }()
	return v.lost(m, de.Damage)
}

// meets reports whether a damage is about the place.
func (h harm) meets(x wal.Damage) bool {
	if x.Segment != h.file {
		return false
	}
	end := max(x.Offset+x.Length, x.Offset+1)
	return h.n == 0 || h.off < format.AlignUp(end, format.MaxAlignment) && x.Offset < h.off+max(h.n, format.MaxAlignment)
}

// lost checks that each record that is missing is told as lost, and that there are none too
// many.
func (v *victim) lost(m *wal.Manager, told []wal.Damage) *Violation {
	left, known := map[key]map[rec]bool{}, map[key]bool{}
	for k, s := range v.want.parts {
		left[k] = map[rec]bool{}
		for _, x := range s.recs {
			left[k][x] = true
		}
	}
	for _, info := range m.Partitions() {
		k, next := key{info.Topic, info.Partition}, info.NextOffset
		p, err := m.Lookup(k.topic, k.num)
		if err != nil {
			return violation(DamageReported, "%v: %v", k, err)
		}
		for x, err := range p.Read(ctx, p.FirstOffset()) {
			var lost *wal.LostError
			if errors.As(err, &lost) {
				told = append(told, wal.Damage{Partitions: []wal.PartitionSpan{lost.PartitionSpan}})
				continue
			}
			if err != nil {
				told = append(told, wal.Damage{Partitions: []wal.PartitionSpan{{Topic: k.topic, Partition: k.num}}})
				break
			}
			got := rec{x.Offset, hashRecord(&x)}
			// A truncation may be among what is lost, but nothing may come that never was.
			if o := v.known.find(got.hash); o == nil || o.part.key != k || !o.part.comes(got, 0, len(o.part.ops)) {
				return violation(Prefix, "%v: the record at offset %d comes from a damaged log, and is none that was there", k, x.Offset)
			}
			delete(left[k], got)
		}
		// What is lost at the end nobody can tell.
		for x := range left[k] {
			if x.offset >= next {
				delete(left[k], x)
			}
		}
		known[k] = true
	}
	for k, recs := range left {
		for x := range recs {
			if known[k] && !v.parts[k].reused(x) && !slices.ContainsFunc(told, func(d wal.Damage) bool { return names(d, k, x.offset) }) {
				return violation(DamageReported, "%v: the record at offset %d is lost and nothing says so: %v", k, x.offset, told)
			}
		}
	}
	return nil
}

// reused reports whether the offset had been given before and truncated. A truncation that
// is lost leaves what was there before it, a record or a gap.
func (p *part) reused(x rec) bool {
	for i, s := range p.states {
		if i < len(p.ops) && p.ops[i].kind == opTruncateAfter && s.next > x.offset && p.ops[i].at < x.offset {
			return true
		}
	}
	return false
}

// names reports whether a damage says that the record is lost.
func names(d wal.Damage, k key, offset int64) bool {
	for _, s := range d.Partitions {
		if s.Topic == k.topic && s.Partition == k.num && s.From <= offset && (offset < s.To || s.To == 0) {
			return true
		}
	}
	return false
}

// maySuffer reports whether the damage cannot be told from a torn tail: it is in the last
// segment, which nothing says the end of, and no sound frame behind it says that what
// stood there was durable.
func (v *victim) maySuffer(h harm) bool {
	if h.n == 0 && h.file == v.files[0] {
		return true // nothing says which segment is the oldest
	}
	if v.closed {
		return false
	}
	if h.n == 0 {
		return h.file == v.files[len(v.files)-1]
	}
	if h.file != v.files[len(v.files)-1] {
		return false
	}
	b, err := v.disk.ReadFile(dir + "/" + h.file)
	if err != nil {
		return false
	}
	head, err := format.ReadSegmentHeader(b)
	if err != nil || h.off < format.HeaderSize {
		return false
	}
	hit := uint64(0) // LSN of the first frame that is hit
	for at := int64(format.HeaderSize); at+format.FrameHeaderSize <= int64(len(b)); {
		f, err := format.ReadFrameHeader(b[at:])
		if err != nil || f.Epoch != head.Epoch {
			break
		}
		end := at + format.AlignUp(f.Length, head.Alignment)
		switch {
		case hit == 0 && h.off < end:
			hit = f.LSN
		case at >= h.off+h.n && hit > 0 && f.Durable >= hit:
			return false
		}
		at = end
	}
	return true
}

// prefix reports whether each partition is as it was at some earlier time, as far as its
// records tell.
func (v *victim) prefix(got *recovered) bool {
	for _, s := range got.parts {
		if s.first > s.next {
			return false
		}
	}
	return got.err == nil
}

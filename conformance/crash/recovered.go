package crash

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
)

// recovered is what an open found.
type recovered struct {
	parts map[key]state
	// err is why the log could not be opened or read.
	err *Violation
}

// digest is a fingerprint of the recovered state.
func (r *recovered) digest() (d uint64) {
	for k, s := range r.parts {
		x := rec{s.first, rec{s.next, s.sum}.mix()}.mix()
		for _, c := range []byte(k.topic) {
			x = x*31 + uint64(c)
		}
		d += rec{int64(k.num), x}.mix()
	}
	return d
}

func (r *recovered) equal(o *recovered) bool {
	return maps.EqualFunc(r.parts, o.parts, state.equal)
}

// readOnly opens the log read-only and reads all of it. With thorough, each partition is
// read by itself too, and the two compared, and the log is verified. With k, which may be nil,
// what the log knows of producers is compared with their records.
func readOnly(b backend.Backend, thorough bool, k *known) *recovered {
	m, err := wal.Open(dir, wal.WithBackend(b), wal.WithReadOnly(), readerKey)
	if errors.Is(err, wal.ErrNotLog) || errors.Is(err, fs.ErrNotExist) {
		return &recovered{}
	}
	if err != nil {
		return &recovered{err: openFailed(err)}
	}
	r := readAll(m, thorough)
	if r.err == nil && k != nil {
		r.err = checkSequences(m, r.parts, k)
	}
	if err := m.Close(); err != nil && r.err == nil {
		r.err = violation(Recovers, "close after a read-only open: %v", err)
	}
	if thorough && r.err == nil {
		r.err = verify(b)
	}
	return r
}

// verify verifies a log in which nothing is damaged.
func verify(b backend.Backend) *Violation {
	report, err := wal.Verify(ctx, dir, wal.WithBackend(b), readerKey)
	switch {
	case errors.Is(err, wal.ErrNotLog) || errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return violation(Recovers, "verify: %v", err)
	case !report.OK:
		return violation(TornIsNotDamage, "verify: %v", report.Damage)
	}
	return nil
}

func openFailed(err error) *Violation {
	if errors.Is(err, wal.ErrDamaged) {
		return violation(TornIsNotDamage, "open: %v", err)
	}
	return violation(Recovers, "open: %v", err)
}

// readAll reads all partitions of an open log.
func readAll(m *wal.Manager, thorough bool) *recovered {
	r := &recovered{parts: map[key]state{}}
	records := map[key]int64{}
	for _, p := range m.Partitions() {
		k := key{p.Topic, p.Partition}
		r.parts[k] = state{first: p.FirstOffset, next: p.NextOffset, recs: make([]rec, 0, p.Records)}
		records[k] = p.Records
	}
	unsorted := map[key]bool{}
	for e, err := range m.Replay(ctx) {
		if err != nil {
			r.err = violation(Prefix, "replay of a log that opened: %v", err)
			return r
		}
		k := key{e.Topic, e.Partition}
		s := r.parts[k]
		x := rec{e.Offset, hashRecord(&e.Record)}
		unsorted[k] = unsorted[k] || len(s.recs) > 0 && s.recs[len(s.recs)-1].offset >= x.offset
		s.recs = append(s.recs, x)
		s.sum += x.mix()
		r.parts[k] = s
	}
	for k, s := range r.parts {
		if unsorted[k] { // moved records come late
			slices.SortFunc(s.recs, func(a, b rec) int { return cmp.Compare(a.offset, b.offset) })
		}
		if err := s.check(records[k]); err != nil {
			r.err = violation(Prefix, "%v: %v", k, err)
			return r
		}
		if thorough && r.err == nil {
			r.err = readPartition(m, k, s)
		}
	}
	return r
}

// check tells whether the records lie within the offsets, each once.
func (s state) check(count int64) error {
	at := s.first
	for _, x := range s.recs {
		if x.offset < at || x.offset >= s.next {
			return fmt.Errorf("%v hold a record at offset %d, after %d", s, x.offset, at-1)
		}
		at = x.offset + 1
	}
	if int64(len(s.recs)) != count {
		return fmt.Errorf("%v, the log counts %d", s, count)
	}
	return nil
}

// readPartition reads a partition and compares it with what the replay gave.
func readPartition(m *wal.Manager, k key, want state) *Violation {
	p, err := m.Lookup(k.topic, k.num)
	if err != nil {
		return violation(Prefix, "%v is listed and not found: %v", k, err)
	}
	n := 0
	for x, err := range p.Read(ctx, want.first) {
		if err != nil {
			return violation(Prefix, "%v: read after record %d of %d: %v", k, n, len(want.recs), err)
		}
		got := rec{x.Offset, hashRecord(&x)}
		if n >= len(want.recs) || got != want.recs[n] {
			return violation(Prefix, "%v: record %d, at offset %d, is not what a replay gives", k, n, got.offset)
		}
		n++
	}
	if n < len(want.recs) {
		return violation(Prefix, "%v: reading gives %d records, a replay %d", k, n, len(want.recs))
	}
	return nil
}

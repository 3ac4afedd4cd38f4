package script

// row is the last records in a row of a producer that numbers them: what the partition knows of it.
// The zero row is that of one which it does not know.
type row struct {
	sequence int64 // of the first
	base     int64 // its offset
	count    int64
}

func (r row) next() int64 { return r.sequence + r.count }

// once returns the row behind an append of the producer.
func (r row) once(o Op, base int64) row {
	if r.count > 0 && r.base+r.count == base {
		r.count += int64(o.Count)
		return r
	}
	return row{o.Sequence, base, int64(o.Count)}
}

// cut returns the row once records from an offset on are gone.
func (r row) cut(next int64) row {
	if r.count = min(r.count, next-r.base); r.count <= 0 {
		return row{}
	}
	return r
}

// NextSequence is what the partition has to say of its producer: the number that it goes on with, if it
// is known.
func (s State) NextSequence() (next int64, known bool) { return s.row.next(), s.row.count > 0 }

// Repeatable are the last records that the producer numbered, at most so many: appending them again has to give
// their offset, and append nothing, whatever became of them.
func (s State) Repeatable(most int64) (sequence, offset int64, count int) {
	n := min(most, s.row.count)
	return s.row.next() - n, s.row.base + s.row.count - n, int(n)
}

// Package numbered is a model of what a partition knows of a producer that numbers its records.
package numbered

// Row is the last records in a row of a producer. The zero Row is that of one which the partition does
// not know.
type Row struct {
	// Sequence is the number of the first, Base its offset, Count how many there are.
	Sequence, Base, Count int64
}

// Next returns the number that the producer goes on with, if it is known.
func (r Row) Next() (next int64, known bool) { return r.Sequence + r.Count, r.Count > 0 }

// Append returns the row behind an append of so many records.
func (r Row) Append(sequence, base int64, count int) Row {
	if r.Count > 0 && r.Base+r.Count == base {
		r.Count += int64(count)
		return r
	}
	return Row{sequence, base, int64(count)}
}

// Cut returns the row once records from an offset on are gone.
func (r Row) Cut(next int64) Row {
	if r.Count = min(r.Count, next-r.Base); r.Count <= 0 {
		return Row{}
	}
	return r
}

// Last returns the last records of the row, at most so many.
func (r Row) Last(most int64) (sequence, offset int64, count int) {
	n := min(most, r.Count)
	return r.Sequence + r.Count - n, r.Base + r.Count - n, int(n)
}

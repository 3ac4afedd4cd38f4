package wal

import (
	"container/heap"
	"slices"
)

// mendQueue is the mends that may be placed now, the one first that is due first. Of one
// partition they keep their order.
type mendQueue []queuedMend

type queuedMend struct {
	*mend
	seq int
}

func (q mendQueue) Len() int { return len(q) }

func (q mendQueue) Less(i, j int) bool {
	if q[i].before != q[j].before {
		return q[i].before < q[j].before
	}
	return q[i].seq < q[j].seq
}

func (q mendQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *mendQueue) Push(x any) {
	if m, ok := x.(queuedMend); ok {
		*q = append(*q, m)
	}
}

// Pop implements heap.Interface.
func (q *mendQueue) Pop() any {
	old := *q
	m := old[len(old)-1]
	*q = old[:len(old)-1]
	return m
}

// placeNeeded gives each mend one of the free LSNs, but for optional ones that find no place or
// leave none for others. It returns the others without a place.
func placeNeeded(mends []*mend, free []lsnRange) []*mend {
	for _, m := range mends {
		m.left = false
	}
	optional := func(m *mend) bool { return m.optional }
	for {
		left := placeMends(mends, free)
		if len(left) == 0 || !slices.ContainsFunc(mends, optional) {
			return left
		}
		spare := left
		if !slices.ContainsFunc(left, optional) {
			spare = mends
		}
		for _, m := range spare {
			m.left = m.optional
		}
		mends = slices.DeleteFunc(slices.Clone(mends), func(m *mend) bool { return m.left })
	}
}

// placeMends gives each mend one of the free LSNs, which are in order, between those it has
// to lie between. Taking the one that is due first finds a place for all if there is one. It
// returns those without a place.
func placeMends(mends []*mend, free []lsnRange) (left []*mend) {
	// What comes later of a partition may be pinned down better than what comes first.
	latest := map[*Partition]uint64{}
	for _, m := range slices.Backward(mends) {
		if before, ok := latest[m.part]; ok {
			m.before = min(m.before, before)
		}
		latest[m.part] = m.before
	}
	waiting := make([]queuedMend, len(mends))
	for i, m := range mends {
		waiting[i] = queuedMend{m, i}
	}
	slices.SortStableFunc(waiting, func(a, b queuedMend) int {
		if a.after < b.after {
			return -1
		}
		if a.after > b.after {
			return 1
		}
		return 0
	})
	var due mendQueue
	for _, r := range free {
		for lsn := r.first; lsn < r.end; {
			for len(waiting) > 0 && waiting[0].after < lsn {
				heap.Push(&due, waiting[0])
				waiting = waiting[1:]
			}
			for len(due) > 0 && due[0].before <= lsn {
				left = append(left, due.next())
			}
			switch {
			case len(due) > 0:
				due.next().run.LSN = lsn
				lsn++
			case len(waiting) > 0:
				lsn = max(lsn, waiting[0].after+1)
			default:
				lsn = r.end
			}
		}
	}
	for len(due) > 0 {
		left = append(left, due.next())
	}
	for _, w := range waiting {
		left = append(left, w.mend)
	}
	return left
}

// next takes out the mend that is due first.
func (q *mendQueue) next() *mend {
	m, _ := heap.Pop(q).(queuedMend)
	return m.mend
}

// takeLSN takes an LSN out of ranges.
func takeLSN(list []lsnRange, lsn uint64) []lsnRange {
	for i, r := range list {
		if lsn < r.first || lsn >= r.end {
			continue
		}
		return slices.Concat(list[:i], []lsnRange{{r.first, lsn}, {lsn + 1, r.end}}, list[i+1:])
	}
	return list
}

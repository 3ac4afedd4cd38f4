package wal

import "math"

// cuts remembers the truncations of a partition as far as readers have to know of them:
// one that is beyond such a cut has yielded records that were truncated by now, even if
// there are others at their offsets.
type cuts struct {
	count uint64 // truncations so far
	// list holds the suffix truncations, but for those that a later one went below:
	// numbers and offsets rise.
	list []suffixCut
}

type suffixCut struct {
	number uint64
	next   int64 // records from here on were dropped
}

// before takes in that records below first are gone. Who is there learns of it by that; who is
// beyond, of the suffix truncations below first, by one at first.
func (c *cuts) before(first int64) {
	c.count++
	n := 0
	for n < len(c.list) && c.list[n].next <= first {
		n++
	}
	if n > 0 {
		n--
		c.list[n].next = first
	}
	c.list = c.list[n:]
}

// after takes in that records from next on are gone.
func (c *cuts) after(next int64) {
	c.count++
	n := len(c.list)
	for n > 0 && c.list[n-1].next >= next {
		n--
	}
	c.list = append(c.list[:n], suffixCut{c.count, next})
}

// since returns the lowest offset that was cut at after the truncation of a number.
func (c *cuts) since(number uint64) int64 {
	for _, cut := range c.list {
		if cut.number > number {
			return cut.next
		}
	}
	return math.MaxInt64
}

package sim

import "fmt"

// Trace is what happened to a Disk, from its making (by New or as an image) to the
// call of Disk.Trace. It does not change, and may be used by several goroutines.
type Trace struct {
	opt   Options
	base  *state // never changed, so that every Cursor can start from it
	ops   []op
	marks []Mark
}

// Mark is an event of the caller in a trace.
type Mark struct {
	// Point is how many operations came before it: a crash at this point or a later
	// one happens after the event.
	Point int
	// Value is what was given to Disk.Mark.
	Value any
}

// Mark puts an event of the caller at the end of the trace, in one step with the
// operations of other goroutines. After the crash it does nothing and returns false:
// whatever it was, it did not happen.
func (d *Disk) Mark(v any) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return false
	}
	if !d.opt.NoTrace {
		d.marks = append(d.marks, Mark{Point: len(d.ops), Value: v})
	}
	return true
}

// Trace returns the trace so far. With NoTrace it is empty and starts now.
func (d *Disk) Trace() *Trace {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opt.NoTrace {
		return &Trace{opt: d.opt, base: d.st.fork()}
	}
	d.startTrace()
	return &Trace{
		opt: d.opt, base: d.base,
		ops: d.ops, marks: d.marks[:len(d.marks):len(d.marks)],
	}
}

// Len returns the number of operations. The crash points are 0 to Len: point k is
// after the first k operations.
func (t *Trace) Len() int { return len(t.ops) }

// Op returns operation i, from 0 to Len-1.
func (t *Trace) Op(i int) OpInfo { return t.ops[i].OpInfo }

// Marks returns all marks, in order.
func (t *Trace) Marks() []Mark { return t.marks }

// Cursor is a place in a trace. One goroutine at a time uses it; its images are
// independent of it.
type Cursor struct {
	t     *Trace
	st    *state
	point int
	marks int // marks at or before the point
	items []item
	units int // in items; negative: not counted yet
}

// Cursor returns a cursor at point 0.
func (t *Trace) Cursor() *Cursor {
	c := &Cursor{t: t, st: t.base.fork(), units: -1}
	c.passMarks()
	return c
}

// At returns a cursor at a point; a point outside the trace is moved to its end.
func (t *Trace) At(point int) *Cursor {
	c := t.Cursor()
	for c.point < point && c.Next() {
	}
	return c
}

// Next goes on by one operation. It returns false at the end of the trace.
func (c *Cursor) Next() bool {
	if c.point == len(c.t.ops) {
		return false
	}
	c.st.apply(&c.t.ops[c.point])
	c.point++
	c.units = -1
	c.passMarks()
	return true
}

func (c *Cursor) passMarks() {
	for c.marks < len(c.t.marks) && c.t.marks[c.marks].Point <= c.point {
		c.marks++
	}
}

// Point returns how many operations are behind the cursor.
func (c *Cursor) Point() int { return c.point }

// Marks returns the marks behind the cursor: what the caller may count on if the crash
// happens here.
func (c *Cursor) Marks() []Mark { return c.t.marks[:c.marks:c.marks] }

// Units returns how many units (see the package comment) are unsynced here.
func (c *Cursor) Units() int {
	if c.units < 0 {
		c.items, c.units = c.st.unsynced(c.items[:0])
	}
	return c.units
}

// Image makes the disk that a crash here leaves behind.
func (c *Cursor) Image(im Image) *Disk {
	c.Units()
	st := c.st.image(im, c.items)
	c.st.retire()
	return imageDisk(c.t.opt, im, st)
}

// String says where the cursor stands, for messages.
func (c *Cursor) String() string {
	s := fmt.Sprintf("point %d of %d", c.point, len(c.t.ops))
	if c.point > 0 {
		s += ", after " + c.t.ops[c.point-1].String()
	}
	return s
}

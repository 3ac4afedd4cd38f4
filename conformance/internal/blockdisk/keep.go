package blockdisk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"
)

// Keep says what to leave of a disk for people to study.
type Keep struct {
	// Dir is an empty directory.
	Dir string
	// Crash is the one that made the state; nil: the disk as it is.
	Crash *Crash
}

// The files that Keep leaves.
const (
	KeptImage  = "disk.img"
	KeptEvents = "events.txt"
)

// Keep leaves the disk as a file, with holes where it is zeros, and a list of what it was told
// since the recording began. The disk is in the state of the crash afterwards.
func (d *Disk) Keep(k Keep, _ *Nothing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.recordings) == 0 {
		return errors.New("nothing was recorded")
	}
	r := d.recordings[len(d.recordings)-1]
	if k.Crash != nil {
		if err := d.become(r, *k.Crash); err != nil {
			return err
		}
	}
	return errors.Join(
		intoFile(filepath.Join(k.Dir, KeptImage), d.image.writeTo),
		intoFile(filepath.Join(k.Dir, KeptEvents), func(f *os.File) error { return r.tell(f, k.Crash) }),
	)
}

func intoFile(name string, write func(f *os.File) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// writeTo writes what the image holds, and nothing where it holds zeros.
func (m *image) writeTo(f *os.File) error {
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	for _, layer := range m.layers {
		for n := range layer {
			if _, err := f.WriteAt(m.block(n), n*blockSize); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell lists the events of a recording, and says what a crash left of each write.
func (r *recording) tell(to io.Writer, c *Crash) error {
	out := bufio.NewWriter(to)
	_, _ = fmt.Fprintln(out, "# event, phase, operations of each producer (submitted/acknowledged/seen by a reader) before it, what it is")
	left := func(int) string { return "" }
	if c != nil {
		_, _ = fmt.Fprintln(out, "#", c)
		left = r.left(*c)
	}
	what := make([]string, len(r.events))
	for i, w := range r.writes {
		what[w.arrived] += fmt.Sprintf(" write %d arrives: %d bytes at %d, hash %016x%s", i, len(w.data), w.off, xxhash.Sum64(w.data), left(i))
		if w.done < len(what) {
			what[w.done] += fmt.Sprintf(" write %d is complete", i)
		}
	}
	for i, f := range r.flushes {
		what[f.done] += fmt.Sprintf(" flush %d is complete: it covers what was complete before event %d", i, f.begun)
	}
	for n, e := range r.events {
		_, _ = fmt.Fprintf(out, "%d %d", n, e.phase)
		for _, p := range e.progress {
			_, _ = fmt.Fprintf(out, " %d/%d/%d", p.Submitted, p.Acked, p.Seen)
		}
		_, _ = fmt.Fprintln(out, what[n])
	}
	return out.Flush() // it returns the error of any write before
}

// left returns what tells how much a crash leaves of a write.
func (r *recording) left(c Crash) func(write int) string {
	durable, volatile, late := r.split(c.Point)
	text := make([]string, len(r.writes))
	for i := range text {
		text[i] = ", behind the crash"
	}
	for _, i := range durable {
		text[i] = ", flushed"
	}
	bytes := map[int]int{}
	for _, p := range r.choose(c.Mode, volatile, late, c.random()) {
		bytes[p.order] += len(p.data)
	}
	for _, i := range volatile {
		text[i] = fmt.Sprintf(", not flushed: %d bytes left", bytes[i])
	}
	return func(i int) string { return text[i] }
}

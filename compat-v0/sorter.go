package walv0

import (
	"bufio"
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// entry is where a record of the source is, and what it holds.
type entry struct {
	// offset is the one it gets in v1, last the last one it stands for.
	offset, last int64
	position     int64
	hash         uint64
	file         uint32
	size         uint32
	part         uint32
	flags        uint32
}

// unnumbered: the layout has no offset; the one here was counted.
const unnumbered = 1

const entrySize = 48

func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.offset, b.offset), cmp.Compare(a.file, b.file),
		cmp.Compare(a.position, b.position))
}

// sorter brings entries into the order of partition, offset and place. It keeps a bounded number of them in
// memory, the others sorted in parts in a temporary file.
type sorter struct {
	// most is how many are kept in memory, dir where the file is made.
	most int
	dir  string

	memory []entry
	file   *os.File
	parts  []int64 // where they end in the file, in entries
}

// mostEntries takes 24 MiB.
const mostEntries = 512 << 10

func (s *sorter) add(e entry) error {
	if len(s.memory) == s.most {
		if err := s.spill(); err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
	}
	s.memory = append(s.memory, e)
	return nil
}

func (s *sorter) spill() (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp(s.dir, "walv0-index-"); err != nil {
			return err
		}
		_ = os.Remove(s.file.Name()) // where the name of an open file can go, a kill leaves nothing
	}
	slices.SortFunc(s.memory, compareEntries)
	w := bufio.NewWriterSize(s.file, 1<<20)
	for _, e := range s.memory {
		if _, err := w.Write(e.append(w.AvailableBuffer())); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	end := int64(len(s.memory))
	if n := len(s.parts); n > 0 {
		end += s.parts[n-1]
	}
	s.parts = append(s.parts, end)
	s.memory = s.memory[:0]
	return nil
}

func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	_ = os.Remove(s.file.Name()) // it is gone already, but on systems that keep names of open files
	return err
}

func (e *entry) append(b []byte) []byte {
	for _, v := range [...]uint64{uint64(e.offset), uint64(e.last), uint64(e.position), e.hash} {
		b = le.AppendUint64(b, v)
	}
	for _, v := range [...]uint32{e.file, e.size, e.part, e.flags} {
		b = le.AppendUint32(b, v)
	}
	return b
}

func readEntry(r io.Reader, e *entry) error {
	var b [entrySize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	e.offset, e.last = int64(le.Uint64(b[:])), int64(le.Uint64(b[8:]))
	e.position, e.hash = int64(le.Uint64(b[16:])), le.Uint64(b[24:])
	e.file, e.size, e.part, e.flags = le.Uint32(b[32:]), le.Uint32(b[36:]), le.Uint32(b[40:]), le.Uint32(b[44:])
	return nil
}

// stream is a sorted row of entries and its first one.
type stream struct {
	head entry
	next func(*entry) error
}

// streams is a heap of them.
type streams []*stream

func (s streams) Len() int           { return len(s) }
func (s streams) Less(i, j int) bool { return compareEntries(s[i].head, s[j].head) < 0 }
func (s streams) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *streams) Push(x any)        { *s = append(*s, x.(*stream)) }
func (s *streams) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// each calls f with all entries in order, until it returns an error. It can be called again, but
// nothing may be added meanwhile.
func (s *sorter) each(f func(entry) error) error {
	slices.SortFunc(s.memory, compareEntries)
	if len(s.parts) == 0 {
		for _, e := range s.memory {
			if err := f(e); err != nil {
				return err
			}
		}
		return nil
	}
	var all streams
	begin := int64(0)
	for _, end := range s.parts {
		part := io.NewSectionReader(s.file, begin*entrySize, (end-begin)*entrySize)
		r := bufio.NewReaderSize(part, min(64<<10, 16<<20/len(s.parts)))
		all = append(all, &stream{next: func(e *entry) error { return readEntry(r, e) }})
		begin = end
	}
	memory := s.memory
	all = append(all, &stream{next: func(e *entry) error {
		if len(memory) == 0 {
			return io.EOF
		}
		*e, memory = memory[0], memory[1:]
		return nil
	}})
	return merge(all, f)
}

// merge calls f with the entries of all streams in order.
func merge(all streams, f func(entry) error) error {
	var there streams
	for _, s := range all {
		if err := s.next(&s.head); err == nil {
			there = append(there, s)
		} else if !errors.Is(err, io.EOF) {
			return fmt.Errorf("temporary file: %w", err)
		}
	}
	heap.Init(&there)
	for len(there) > 0 {
		s := there[0]
		if err := f(s.head); err != nil {
			return err
		}
		switch err := s.next(&s.head); {
		case err == nil:
			heap.Fix(&there, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&there)
		default:
			return fmt.Errorf("temporary file: %w", err)
		}
	}
	return nil
}

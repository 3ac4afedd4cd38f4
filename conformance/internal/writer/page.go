// Package writer is the two ends of a crash test on a real kernel: what writes to a log until
// it is killed, and what checks afterwards what became of the log. They share a page that
// tells how far each producer came, and nothing else.
package writer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Progress is how far a producer came in its round, in operations.
type Progress struct {
	// Submitted operations have begun.
	Submitted int
	// Acked ones must be there after any crash.
	Acked int
	// Seen ones were shown to a reader: they must be there too.
	Seen int
}

const (
	progressSize = 24
	maxProducers = 64
)

// Page is a file, in memory best, that outlives its writer: a killed process leaves what it
// wrote, and the one that kills can look at it at any moment. Each number in it has one
// writer, and is written by one call. Safe for concurrent use.
type Page struct {
	f    *os.File
	path string
	mine bool // it goes with this Page

	mu sync.Mutex // of set
}

// CreatePage makes a page that says that nothing was done yet.
func CreatePage() (*Page, error) {
	f, path, err := newFile()
	if err != nil {
		return nil, err
	}
	p := &Page{f: f, path: path, mine: true}
	if err := p.Reset(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Path is where other processes find the page, until it is closed.
func (p *Page) Path() string { return p.path }

// OpenPage opens a page that another process made.
func OpenPage(path string) (*Page, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &Page{f: f, path: path}, nil
}

// Reset sets all progress to nothing.
func (p *Page) Reset() error {
	_, err := p.f.WriteAt(make([]byte, maxProducers*progressSize), 0)
	return err
}

// Close closes the page's file. It ends the page where that was made.
func (p *Page) Close() error {
	err := p.f.Close()
	if p.mine {
		err = errors.Join(err, removeFile(p.path))
	}
	return err
}

func (p *Page) submitted(producer, n int) error { return p.set(producer, 0, n) }
func (p *Page) acked(producer, n int) error     { return p.set(producer, 8, n) }
func (p *Page) seen(producer, n int) error      { return p.set(producer, 16, n) }

// set sets a number by another system call than backends write with: a fault that is injected
// into theirs is not to hit the page.
func (p *Page) set(producer int, field int64, n int) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.f.Seek(int64(producer)*progressSize+field, io.SeekStart); err != nil {
		return err
	}
	_, err := p.f.Write(b[:])
	return err
}

// Sample returns what the page says. What is acknowledged is read before what is submitted
// could grow beyond it: the order of the reads is that of the numbers' meaning.
func (p *Page) Sample(producers int) ([]Progress, error) {
	b := make([]byte, producers*progressSize)
	if _, err := p.f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("sample the ack page: %w", err)
	}
	list := make([]Progress, producers)
	for i := range list {
		at := b[i*progressSize:]
		list[i] = Progress{
			Submitted: int(binary.LittleEndian.Uint64(at)),
			Acked:     int(binary.LittleEndian.Uint64(at[8:])),
			Seen:      int(binary.LittleEndian.Uint64(at[16:])),
		}
	}
	return list, nil
}

// Bounds joins two samples: what had to be there at the moment of the crash is what was
// acknowledged before it; what may be there is what was submitted by the end.
func Bounds(before, end []Progress) []Progress {
	list := make([]Progress, len(before))
	for i := range list {
		list[i] = Progress{Submitted: end[i].Submitted, Acked: before[i].Acked, Seen: before[i].Seen}
	}
	return list
}

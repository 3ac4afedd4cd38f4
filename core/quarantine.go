package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chronik-go/wal/core/backend"
)

// What is taken out of a log goes to the quarantine by a copy that is durable before the
// original goes: the quarantine may be on another file system, and a crash in between
// leaves the file twice, never nowhere.

// refusedSuffix marks what is no regular file, which cannot be copied: it stays in the log's
// directory under a name that means nothing there.
const refusedSuffix = ".refused"

// tryQuarantine looks whether the quarantine can be used, before anything is done. One that
// is missing is made when there is something to move.
func (p *repairer) tryQuarantine() error {
	if within, err := filepath.Rel(p.path, p.o.Quarantine); err == nil && filepath.IsLocal(within) {
		return fmt.Errorf("%w %w %s: it is a directory of the log, or lies in it", ErrInvalid, ErrQuarantine, p.o.Quarantine)
	}
	dir, err := p.backend.OpenDir(p.o.Quarantine, backend.DirOptions{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return p.quarantineError(err)
	}
	p.quarantine = dir
	return p.probeQuarantine(p.dirs[""])
}

func (p *repairer) quarantineError(err error) error {
	return fmt.Errorf("%w %s: %w", ErrQuarantine, p.o.Quarantine, causeOf(err, p.o.Quarantine))
}

// openQuarantine opens the quarantine for what comes out of a log's directory.
func (p *repairer) openQuarantine(logDir backend.Dir) (err error) {
	if p.quarantine == nil {
		p.quarantine, err = p.backend.OpenDir(p.o.Quarantine, backend.DirOptions{Create: true})
		if err != nil {
			return p.quarantineError(err)
		}
	}
	return p.probeQuarantine(logDir)
}

// probeQuarantine tells whether the quarantine can be written and is not a log's directory
// under another name: a file would be taken for its own copy.
func (p *repairer) probeQuarantine(logDir backend.Dir) error {
	const probe = probeName + tempSuffix
	if err := p.quarantine.Remove(probe); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p.quarantineError(err)
	}
	f, err := p.quarantine.Create(probe, 0)
	if err != nil {
		return p.quarantineError(err)
	}
	names, err := logDir.List()
	if err = errors.Join(err, f.Close(), p.quarantine.Remove(probe)); err != nil {
		return p.quarantineError(err)
	}
	if slices.Contains(names, probe) {
		return fmt.Errorf("%w %w %s: it is a directory of the log", ErrInvalid, ErrQuarantine, p.o.Quarantine)
	}
	return nil
}

// copyAway copies a file of a log to the quarantine. A copy that is there already, of an
// interrupted repair, will do; another file of that name stays.
func (p *repairer) copyAway(s *shard, name string) (err error) {
	if err := p.openQuarantine(s.dir); err != nil {
		return err
	}
	src, err := s.dir.Open(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", s.path(name), err)
	}
	defer src.Close()
	size, err := src.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", s.path(name), err)
	}
	base := strings.ReplaceAll(s.path(name), "/", "-")
	for n := 0; ; n++ {
		to := base
		if n > 0 {
			to = fmt.Sprintf("%s.%d", base, n)
		}
		same, err := p.holdsCopy(to, src, size)
		if errors.Is(err, fs.ErrNotExist) {
			if err := p.copyTo(to, src, size); err != nil {
				return fmt.Errorf("copy %s: %w", s.path(name), p.quarantineError(err))
			}
			same, err = true, nil
		}
		if err != nil {
			return p.quarantineError(err)
		}
		if same {
			p.report.Moved = append(p.report.Moved, p.o.Quarantine+"/"+to)
			return nil
		}
	}
}

// copyTo makes a durable copy. It gets its name last, so a file of that name is whole.
func (p *repairer) copyTo(name string, src backend.File, size int64) error {
	w, err := newFileWriter(p.quarantine, name+tempSuffix, writerBuffer)
	if err != nil {
		return err
	}
	if err := w.copy(p.ctx, src, size); err != nil {
		return errors.Join(err, w.abandon())
	}
	if err := w.publish(name); err != nil {
		return err
	}
	return p.quarantine.Sync()
}

// holdsCopy tells whether the quarantine has a file of that name and content.
func (p *repairer) holdsCopy(name string, src backend.File, size int64) (same bool, err error) {
	f, err := p.quarantine.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if n, err := f.Size(); err != nil || n != size {
		return false, err
	}
	a, b := make([]byte, min(size, windowSize)), make([]byte, min(size, windowSize))
	for at := int64(0); at < size; at += int64(len(a)) {
		n := min(size-at, int64(len(a)))
		if _, err := f.ReadAt(a[:n], at); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if _, err := src.ReadAt(b[:n], at); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
	}
	return true, f.Sync() // the repair that made it may have been interrupted before
}

// setAside gives another name to what is no regular file.
func (p *repairer) setAside(s *shard, dir backend.Dir, name string) error {
	names, err := dir.List()
	if err != nil {
		return err
	}
	to := name + refusedSuffix
	for n := 1; slices.Contains(names, to); n++ {
		to = fmt.Sprintf("%s%s.%d", name, refusedSuffix, n)
	}
	if err := dir.Rename(name, to); err != nil {
		return fmt.Errorf("%s is no regular file and cannot be renamed, move it away yourself: %w", s.path(name), err)
	}
	p.report.Moved = append(p.report.Moved, p.path+"/"+s.path(to))
	return dir.Sync()
}

package sim

import (
	"io/fs"
	"path"
	"strings"
	"syscall"
)

// Mkdir makes a directory with all that are missing above it.
func (d *Disk) Mkdir(p string) error {
	at := "/"
	for _, name := range strings.Split(path.Clean("/"+p), "/")[1:] {
		if at = path.Join(at, name); at == "/" {
			continue
		}
		err := d.edit(at, func(s *state, dir, name string) error {
			if _, ok := s.lookup(dir, name); ok {
				_, err := s.resolve(at)
				return err
			}
			s.mkdir(dir, name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Delete takes a name away: of a file, link or FIFO.
func (d *Disk) Delete(p string) error {
	var gone entry
	err := d.edit(p, func(s *state, dir, name string) error {
		var ok bool
		switch gone, ok = s.lookup(dir, name); {
		case !ok:
			return fs.ErrNotExist
		case gone.kind == kindDir:
			return syscall.EISDIR
		}
		v := s.dir(dir)
		v.vol = without(v.vol, name)
		v.dur, v.pend = v.vol, nil
		return nil
	})
	if err == nil && gone.kind == kindFile {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.unlink(gone.ino)
	}
	return err
}

// Symlink makes a link at p that leads to target, which need not exist. A relative
// target is relative to the link's directory.
func (d *Disk) Symlink(target, p string) error {
	return d.node(p, entry{kind: kindLink, target: target})
}

// Fifo makes a FIFO at p.
func (d *Disk) Fifo(p string) error { return d.node(p, entry{kind: kindFifo}) }

func (d *Disk) node(p string, e entry) error {
	return d.edit(p, func(s *state, dir, name string) error {
		if err := checkName(name); err != nil {
			return err
		}
		if _, ok := s.lookup(dir, name); ok {
			return fs.ErrExist
		}
		e.name = name
		s.put(dir, e)
		return nil
	})
}

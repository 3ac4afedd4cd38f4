package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// Export copies what a reader sees of a directory of the simulation into a directory of
// the real machine, which it makes if it is missing: files, links and directories below
// it. Files keep their size, zeros become holes. Names that are there already are an
// error wrapping fs.ErrExist.
func (d *Disk) Export(dir, osDir string) error {
	c := d.Clone().st // a moment to copy at leisure; nobody else has it
	at, err := c.resolve(dir)
	if err != nil {
		return failed(OpInfo{Op: OpOpenDir, Dir: dir}, err)
	}
	return c.export(at, osDir)
}

func (s *state) export(dir, osDir string) error {
	if err := os.MkdirAll(osDir, 0o700); err != nil {
		return err
	}
	for _, e := range s.dirs[s.byPath[dir]].vol {
		to := filepath.Join(osDir, e.name)
		var err error
		switch e.kind {
		case kindFile:
			err = s.exportFile(s.inodes[e.ino], to)
		case kindDir:
			err = s.export(path.Join(dir, e.name), to)
		case kindLink:
			err = os.Symlink(filepath.FromSlash(e.target), to)
		default:
			err = fmt.Errorf("%s: %w", to, errors.ErrUnsupported)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *state) exportFile(n *inode, to string) (err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if s.flat {
		_, err = f.Write(n.flat)
		return err
	}
	if err := f.Truncate(n.vol.size); err != nil {
		return err
	}
	buf := make([]byte, chunkSectors*SectorSize)
	for k, c := range n.vol.chunks {
		off := int64(k * len(buf))
		if c == nil || off >= n.vol.size {
			continue
		}
		b := buf[:min(int64(len(buf)), n.vol.size-off)]
		n.vol.readAt(b, off)
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
	}
	return nil
}

// Import copies a directory of the real machine into one of the simulation, which it
// makes if it is missing, as Export does the other way round. What it copies is durable.
func (d *Disk) Import(osDir, dir string) error {
	if err := d.Mkdir(dir); err != nil {
		return err
	}
	list, err := os.ReadDir(osDir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := d.importOne(filepath.Join(osDir, e.Name()), path.Join(dir, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) importOne(from, to string, t fs.FileMode) error {
	switch {
	case t.IsDir():
		return d.Import(from, to)
	case t.IsRegular():
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return d.WriteFile(to, b)
	case t&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return d.Symlink(filepath.ToSlash(target), to)
	case t&fs.ModeNamedPipe != 0:
		return d.Fifo(to)
	}
	return failed(OpInfo{Op: OpEdit, Name: to}, syscall.ENOTSUP)
}

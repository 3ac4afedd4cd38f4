package sim

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// state is the machine: cache, medium and the unsynced changes between them. Disk and
// Cursor both hold one and change it only by apply, so that a cursor that has
// repeated the first k operations of a trace holds what the disk held then.
type state struct {
	tok      token
	n        uint64 // operations applied, ever
	flat     bool   // no medium: files are plain memory, everything is durable at once
	perWrite bool   // Options.PerWriteSync
	inodes   []*inode
	dirs     []*dirState
	byPath   map[string]int // index into dirs; replaced, never changed
}

// inode is one file, whatever its names.
type inode struct {
	own  token
	vol  content // the cache
	dur  content // the medium
	pend []pending
	flat []byte // instead of all of these if the state is flat
}

// pending is an unsynced change of a file: a write or a change of size.
type pending struct {
	seq     uint64 // operation that made it
	done    uint64 // operation that completed it; 0 while in flight
	resize  bool
	size    int64    // of a resize
	first   int64    // of a write: its first sector
	sectors []sector // of a write
	gone    []bool   // sectors that a later durable change has superseded; nil: none
	lost    bool     // no sync makes it durable
}

type kind uint8

const (
	kindFile kind = iota
	kindDir
	kindLink
	kindFifo
)

// entry is a name in a directory.
type entry struct {
	name   string
	kind   kind
	ino    int    // of a file
	target string // of a link
}

// dirState is one directory. Its slices of entries are sorted, and replaced, never changed.
type dirState struct {
	own  token
	path string
	vol  []entry
	dur  []entry
	pend []dirPending
}

// dirPending is an unsynced change of a directory.
type dirPending struct {
	seq     uint64
	op      Op     // OpCreate, OpRename, OpRemove
	entry   entry  // of a create
	name    string // of all
	newName string // of a rename
	lost    bool   // no sync makes it durable
}

func newState() *state {
	return &state{
		tok:    newToken(),
		dirs:   []*dirState{{path: "/"}},
		byPath: map[string]int{"/": 0},
	}
}

// fork returns a copy of s that shares its memory. s must not change afterwards unless
// retire is called.
func (s *state) fork() *state {
	c := *s
	c.tok = newToken()
	c.inodes = slices.Clone(s.inodes)
	c.dirs = slices.Clone(s.dirs)
	if s.flat {
		for i, n := range c.inodes {
			if n != nil {
				c.inodes[i] = &inode{own: c.tok, flat: slices.Clone(n.flat)}
			}
		}
	}
	return &c
}

// retire gives up the right to change in place what s has made so far.
func (s *state) retire() { s.tok = newToken() }

// inode returns inode i for changing, nil if there is none.
func (s *state) inode(i int) *inode {
	if i < 0 || i >= len(s.inodes) || s.inodes[i] == nil {
		return nil
	}
	if n := s.inodes[i]; n.own == s.tok {
		return n
	}
	c := *s.inodes[i]
	c.own, c.pend = s.tok, slices.Clone(c.pend)
	s.inodes[i] = &c
	return &c
}

// dir returns the directory of that path for changing, nil if there is none.
func (s *state) dir(p string) *dirState {
	i, ok := s.byPath[p]
	if !ok {
		return nil
	}
	if d := s.dirs[i]; d.own == s.tok {
		return d
	}
	c := *s.dirs[i]
	c.own, c.pend = s.tok, slices.Clone(c.pend)
	s.dirs[i] = &c
	return &c
}

// lookup finds a name in the cached entries of a directory.
func (s *state) lookup(dir, name string) (entry, bool) {
	i, ok := s.byPath[dir]
	if !ok {
		return entry{}, false
	}
	return find(s.dirs[i].vol, name)
}

func (n *inode) size() int64 {
	if n.flat != nil {
		return int64(len(n.flat))
	}
	return n.vol.size
}

// maxLinks bounds how many links one path may lead through.
const maxLinks = 40

// resolve follows the links in the path p to a directory and returns its true path.
func (s *state) resolve(p string) (string, error) {
	rest := strings.Split(path.Clean("/"+p), "/")[1:]
	cur := "/"
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" {
			continue
		}
		e, ok := s.lookup(cur, name)
		switch {
		case !ok:
			return "", fs.ErrNotExist
		case e.kind == kindDir:
			cur = path.Join(cur, name)
		case e.kind == kindLink:
			if links++; links > maxLinks {
				return "", syscall.ELOOP
			}
			to := e.target
			if !path.IsAbs(to) {
				to = path.Join(cur, to)
			}
			rest = append(strings.Split(path.Clean(to), "/")[1:], rest...)
			cur = "/"
		default:
			return "", syscall.ENOTDIR
		}
	}
	return cur, nil
}

func cmpEntry(e entry, name string) int { return strings.Compare(e.name, name) }

func find(es []entry, name string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(es, name, cmpEntry)
	if !ok {
		return entry{}, false
	}
	return es[i], true
}

// with returns es with e added, in place of the entry of the same name.
func with(es []entry, e entry) []entry {
	i, ok := slices.BinarySearchFunc(es, e.name, cmpEntry)
	out := make([]entry, 0, len(es)+1)
	out = append(append(out, es[:i]...), e)
	if ok {
		i++
	}
	return append(out, es[i:]...)
}

// without returns es without that name.
func without(es []entry, name string) []entry {
	i, ok := slices.BinarySearchFunc(es, name, cmpEntry)
	if !ok {
		return es
	}
	return slices.Concat(es[:i], es[i+1:])
}

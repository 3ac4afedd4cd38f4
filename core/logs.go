package wal

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// openLogs opens the directories of all logs that are part of the data directory, and locks
// them if it is open for writing. It changes nothing.
func (m *Manager) openLogs() error {
	names, err := m.root.List()
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	main := m.newShard("", m.root)
	m.shards, m.shared = []*shard{main}, 1
	own, err := lookInto(m.root, m.path, "")
	if err != nil {
		return err
	}
	main.member, m.whole = own.member, own.member != nil
	if own.member != nil && own.member.Kind != format.MemberMain {
		if !m.cfg.readOnly {
			return isPart(m.path, own.member)
		}
		return nil // by itself it can be read
	}
	for _, name := range names {
		if log, ok := strings.CutSuffix(name, memberSuffix); ok {
			if err := m.openLog(log); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		if _, _, ok := parseLogName(name); ok && !slices.Contains(names, name+memberSuffix) {
			if err := m.passOver(name); err != nil {
				return err
			}
		}
	}
	m.arrange()
	if m.cfg.mustExist && len(m.shards) == 1 && !m.whole && !own.used {
		return ErrNotLog
	}
	return nil
}

// arrange puts the logs in order: the shared ones first, by their number.
func (m *Manager) arrange() {
	slices.SortFunc(m.shards, func(a, b *shard) int {
		return cmp.Or(cmp.Compare(a.kind(), b.kind()), cmp.Compare(a.number(), b.number()))
	})
	m.shared = 0
	for _, s := range m.shards {
		if s.kind() != format.MemberDedicated {
			m.shared++
		} else {
			m.dedicated = max(m.dedicated, s.number())
		}
	}
}

func (s *shard) kind() format.MemberKind {
	kind, _, _ := parseLogName(s.name)
	if s.name == "" {
		kind = format.MemberMain
	}
	return kind
}

func (s *shard) number() uint32 {
	_, n, _ := parseLogName(s.name)
	return n
}

func (m *Manager) newShard(name string, dir backend.Dir) *shard {
	s := &shard{
		cfg: m.cfg, name: name, home: m.homeOf(name), dir: dir,
		mu: newAppendLock(m.cfg.stdLocks), pool: newBufferPool(m.cfg.bufferPool),
	}
	s.commit.s = s
	if dir != nil {
		m.cfg.dictionaries.join(s)
	}
	return s
}

// absolute is a path that stays what it is when the process changes its directory: logs are also made
// later. It is not cleaned: "x/.." leads elsewhere where x is a link.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	here, err := os.Getwd()
	if err != nil { // it was removed, say
		return path
	}
	return here + "/" + path
}

// homeOf is the path of a log's directory.
func (m *Manager) homeOf(name string) string {
	if name == "" {
		return m.path
	}
	return m.path + "/" + name
}

// openLog opens the directory of a log that the data directory has a member file of.
func (m *Manager) openLog(name string) error {
	kind, number, ok := parseLogName(name)
	if !ok {
		return nil
	}
	path, home := m.homeOf(name+memberSuffix), m.homeOf(name)
	restore := fmt.Sprintf("copy %s/%s over it", name, ownMember)
	outer, err := readMember(m.root, name+memberSuffix, path, restore)
	if err != nil || outer == nil {
		return err
	}
	if outer.Kind != kind || outer.Number != number {
		return &MemberError{Path: path, Reason: "it is the member file of " + describe(outer), Advice: restore}
	}
	if kind == format.MemberShard && number >= MaxShards { // those in between would be made
		return &MemberError{
			Path: path, Reason: fmt.Sprintf("a data directory has at most %d shards", MaxShards),
			Advice: "move it away, with the directory " + name,
		}
	}
	main := m.shards[0]
	if main.member == nil { // it got lost; this one tells what it said
		main.member = &format.Member{Kind: format.MemberMain, Log: outer.Whole, Whole: outer.Whole}
	}
	if outer.Whole != main.member.Whole {
		return &MemberError{
			Path: path, Reason: fmt.Sprintf("it is of data directory %x, this one is %x", outer.Whole, main.member.Whole),
			Advice: "move it, and the directory " + name + ", to where they belong",
		}
	}
	dir, err := m.cfg.backend.OpenDir(home, backend.DirOptions{ReadOnly: m.cfg.readOnly})
	if errors.Is(err, fs.ErrNotExist) {
		return &MemberError{Path: home, Reason: "the directory of this log is missing", Advice: bringBack}
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", home, causeOf(err, name))
	}
	s := m.newShard(name, dir)
	s.member, s.closedAt = outer, outer.End
	m.shards = append(m.shards, s)
	c, err := lookInto(dir, home, name)
	if err != nil {
		return err
	}
	if err := c.belongs(home, outer); err != nil {
		return err
	}
	return s.lock()
}

const bringBack = "mount its disk there, or put back what was moved away"

// belongs tells whether a directory has the log that the data directory knows.
func (c contents) belongs(home string, outer *format.Member) error {
	switch {
	case c.empty:
		return &MemberError{Path: home, Reason: "the directory of this log is empty", Advice: bringBack}
	case c.member == nil:
		return &MemberError{Path: home, Reason: "it is not the directory of this log: it has no " + ownMember, Advice: bringBack}
	}
	inner, want := withoutEnd(*c.member), withoutEnd(*outer)
	if inner == want {
		return nil
	}
	reason := "it is the directory of " + describe(&inner)
	if inner.Kind == want.Kind && inner.Number == want.Number && inner.Whole == want.Whole {
		reason = fmt.Sprintf("it is the directory of log %x, made anew; this one is %x", inner.Log, want.Log)
	}
	return &MemberError{
		Path: home, Reason: reason,
		Advice: "mount each disk, and put each directory and link, where it belongs",
	}
}

func withoutEnd(m format.Member) format.Member {
	m.End = format.Link{}
	return m
}

// lock takes the log's directory for this writer, also from one that has come to it by another
// data directory, a copy say.
func (s *shard) lock() error {
	if s.cfg.readOnly || s.name == "" {
		return nil
	}
	if err := s.dir.Lock(); err != nil {
		return fmt.Errorf("lock %s: %w", s.home, causeOf(err, s.home))
	}
	return nil
}

// passOver passes over the directory of a log that is not part of the data directory, if there
// is no record in it: it may be what a crash left of making it, or an empty mount point.
func (m *Manager) passOver(name string) error {
	home := m.homeOf(name)
	dir, err := m.cfg.backend.OpenDir(home, backend.DirOptions{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", home, causeOf(err, name))
	}
	c, err := lookInto(dir, home, name)
	err = errors.Join(err, dir.Close())
	if err != nil || !c.used && (c.member == nil || m.unfinished(name, c)) {
		return err
	}
	// A running writer may have made it meanwhile, and the data directory's id.
	if main := m.shards[0]; main.member == nil {
		if main.member, err = readMember(m.root, ownMember, m.homeOf(ownMember), removeIt); err != nil {
			return err
		}
		if !c.used && m.unfinished(name, c) {
			return nil
		}
	}
	before := len(m.shards)
	if err := m.openLog(name); err != nil || len(m.shards) > before {
		return err
	}
	return m.stranger(name, c)
}

// unfinished tells whether a directory is what a crash left of making that log.
func (m *Manager) unfinished(name string, c contents) bool {
	kind, number, _ := parseLogName(name)
	main := m.shards[0].member
	return main != nil && c.member.Whole == main.Whole && c.member.Kind == kind && c.member.Number == number
}

// stranger is the error of a directory that has a log which is not part of the data directory.
func (m *Manager) stranger(name string, c contents) error {
	e := &MemberError{
		Path: m.homeOf(name), Reason: "the data directory knows of no such log, but there is one, without a " + ownMember,
		Advice: "move it away",
	}
	if c.member != nil {
		e.Reason = "the data directory knows of no such log, but there is one: " + describe(c.member)
		e.Advice = "mount each disk, and put each directory and link, where it belongs"
		if m.unfinished(name, c) {
			e.Advice = fmt.Sprintf("if it belongs there copy its %s to %s, else move it away", ownMember, m.homeOf(name+memberSuffix))
		}
	}
	return e
}

// makeShards makes the shards that are missing from the number that is configured, or in
// between. There are never less than there were: a partition stays in its log, and all of the
// logs get new ones.
func (m *Manager) makeShards() error {
	want, last := m.cfg.shards, m.shards[m.shared-1].number()
	want = max(want, int(last)+1)
	for n := 1; n < want; n++ {
		name := logName(format.MemberShard, uint32(n))
		if slices.ContainsFunc(m.shards, func(s *shard) bool { return s.name == name }) {
			continue
		}
		s := m.newShard(name, nil)
		if err := m.makeLog(s, format.MemberShard, uint32(n)); err != nil {
			return err
		}
		m.shards = append(m.shards, s)
	}
	m.arrange()
	return nil
}

// makeLog makes a log beside the main one, or goes on where a crash ended that. The order of
// steps is that of docs/format.md, section 2.
func (m *Manager) makeLog(s *shard, kind format.MemberKind, number uint32) error {
	if err := m.becomeWhole(); err != nil {
		return err
	}
	s.name = logName(kind, number)
	s.home = m.homeOf(s.name)
	dir, err := m.cfg.backend.OpenDir(s.home, backend.DirOptions{Create: true})
	if err != nil {
		return fmt.Errorf("make %s: %w", s.home, causeOf(err, s.name))
	}
	s.dir = dir
	if err := m.settle(s, kind, number); err != nil {
		return errors.Join(err, dir.Close())
	}
	m.cfg.dictionaries.join(s)
	return nil
}

// settle makes a log part of the data directory.
func (m *Manager) settle(s *shard, kind format.MemberKind, number uint32) error {
	member := format.Member{Kind: kind, Number: number, Log: randomLogID(), Whole: m.shards[0].member.Whole}
	look := func() error {
		c, err := lookInto(s.dir, s.home, s.name)
		if err == nil && (c.used || c.member != nil && !m.unfinished(s.name, c)) {
			err = m.stranger(s.name, c)
		}
		if err == nil && c.member != nil {
			member.Log = c.member.Log
		}
		return err
	}
	// Before the lock, since that may be a link to a log of this data directory.
	if err := look(); err != nil {
		return err
	}
	if err := s.lock(); err != nil {
		return err
	}
	if err := look(); err != nil {
		return err
	}
	if err := putMember(s.dir, s.home, ownMember, member); err != nil {
		return err
	}
	if err := putMember(m.root, m.path, s.name+memberSuffix, member); err != nil {
		return err
	}
	s.member, s.id = &member, member.Log
	return nil
}

// becomeWhole gives the data directory an id, before it gets a second log.
func (m *Manager) becomeWhole() error {
	main := m.shards[0]
	if m.whole {
		return nil
	}
	member := format.Member{Kind: format.MemberMain, Log: main.id, Whole: main.id}
	if err := putMember(m.root, m.path, ownMember, member); err != nil {
		return err
	}
	main.member, m.whole = &member, true
	return nil
}

// putMember writes a member file and makes its name durable.
func putMember(dir backend.Dir, path, name string, m format.Member) error {
	err := writeMember(dir, name, m)
	if err == nil {
		err = dir.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s/%s: %w", path, name, err)
	}
	return nil
}

// noteEnds notes in the data directory where logs that were closed end, so that older copies of
// them are told.
func (m *Manager) noteEnds(closed []*shard) error {
	noted := false
	for _, s := range closed {
		if s.name == "" || s.commit.tail == s.closedAt {
			continue
		}
		member := *s.member
		member.End = s.commit.tail
		if err := writeMember(m.root, s.name+memberSuffix, member); err != nil {
			return fmt.Errorf("write %s: %w", m.homeOf(s.name+memberSuffix), err)
		}
		noted = true
	}
	if !noted {
		return nil
	}
	if err := m.root.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", m.path, err)
	}
	return nil
}

// claim notes which partitions a log has. None may be in another one too.
func (m *Manager) claim(s *shard, list []*Partition) error {
	for _, p := range list {
		key := partitionKey{p.topic, p.num}
		if other := m.partitions[key]; other != nil {
			return &MemberError{
				Path: m.path, Reason: fmt.Sprintf("partition %s/%d is in two logs, %s and %s", p.topic, p.num, other.shard.home, s.home),
				Advice: "read each by itself, then move one of the directories away, with its member file",
			}
		}
		m.partitions[key] = p
	}
	return nil
}

func randomLogID() (id format.LogID) {
	for id == (format.LogID{}) {
		_, _ = rand.Read(id[:]) // never fails
	}
	return id
}

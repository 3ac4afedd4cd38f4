package wal

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// badDictionary is a dictionary of a log that is not whole: damaged, or without one of its copies.
type badDictionary struct {
	id     uint32
	sound  string   // the name of a copy that can be read, "" for none
	bad    []string // the names of the others
	there  []string // those of them that have a file
	damage []Damage
}

// checkDictionaries looks at both copies of each dictionary of a log. A batch that needs one that has no
// file any more is found where the batch is looked at: lacking counts them.
func (r *recovery) checkDictionaries() ([]*badDictionary, error) {
	ids, coming, err := r.s.listDictionaries()
	if err != nil {
		return nil, err
	}
	for id := range maps.Keys(r.lacking) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var list []*badDictionary
	for _, id := range ids {
		b, err := r.checkDictionary(id, coming)
		if err != nil {
			return nil, err
		}
		if len(b.bad) > 0 {
			list = append(list, b)
		}
	}
	return list, nil
}

// checkDictionary looks at both copies of a dictionary. That one is missing is no damage as long as the other
// is sound: a crash leaves it while the two get their names.
func (r *recovery) checkDictionary(id uint32, coming []string) (*badDictionary, error) {
	b := &badDictionary{id: id}
	for name := range copies(id) {
		_, err := r.s.loadDictionary(name)
		if err == nil {
			b.sound = name
			continue
		}
		gone := errors.Is(err, errDictionaryGone)
		if !gone && !errors.Is(err, format.ErrCorrupt) {
			return nil, err
		}
		if gone && slices.Contains(coming, name) {
			continue // a running writer is about to give it its name
		}
		d := Damage{Segment: r.s.path(name), Reason: fmt.Sprintf("copy of dictionary %08x: %v", id, err)}
		if !gone {
			b.there, d.Length = append(b.there, name), r.s.sizeOf(name)
		}
		b.bad, b.damage = append(b.bad, name), append(b.damage, d)
	}
	if b.sound != "" && len(b.there) == 0 {
		b.damage = nil
	}
	for i := range b.damage {
		switch n := r.lacking[id]; {
		case b.sound != "":
			b.damage[i].Reason += "; the other copy is sound"
		case n > 0:
			b.damage[i].Reason += fmt.Sprintf("; %d batches cannot be read without: put a copy back, from a backup say", n)
		default:
			b.damage[i].Reason += "; batches that need it cannot be read: put a copy back, from a backup say"
		}
	}
	return b, nil
}

// sizeOf returns the size of a file, 0 if it cannot be told.
func (s *shard) sizeOf(name string) int64 {
	f, err := s.dir.Open(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	n, _ := f.Size()
	return n
}

// dictionaryDamage lists what is wrong with the dictionaries of all logs, and the copies that are missing
// without that.
func (x *examination) dictionaryDamage() (list []Damage, missing []string, err error) {
	for _, r := range x.logs {
		bad, err := r.checkDictionaries()
		if err != nil {
			return nil, nil, err
		}
		for _, b := range bad {
			list = append(list, b.damage...)
			if len(b.damage) == 0 {
				missing = append(missing, r.s.path(b.bad[0]))
			}
		}
	}
	return list, missing, nil
}

// dictionaries makes dictionaries whole of which one copy is sound. Of others nothing can be made: what
// needs them stays as it is, to be read once a copy is put back.
func (p *repairer) dictionaries(x *examination) error {
	for _, r := range x.logs {
		list, err := r.checkDictionaries()
		if err != nil {
			return err
		}
		for _, b := range list {
			if len(b.damage) == 0 {
				continue // the next open for writing makes it anew
			}
			p.report.Damage = append(p.report.Damage, b.damage...)
			if err := p.mendDictionary(r.s, b); err != nil {
				return fmt.Errorf("repair %s: dictionary %08x: %w", p.path, b.id, err)
			}
		}
	}
	return nil
}

func (p *repairer) mendDictionary(s *shard, b *badDictionary) error {
	if b.sound == "" {
		p.did("dictionary %08x: no copy is sound: the batches that need it are kept, put a copy of %s back to read them", b.id, s.path(b.bad[0]))
		return nil
	}
	for _, name := range b.bad {
		p.did("%s: copy it anew from %s", s.path(name), s.path(b.sound))
		if p.o.DryRun {
			continue
		}
		dir := p.dirs[s.name]
		if slices.Contains(b.there, name) {
			if err := p.copyOut(s, dir, name); err != nil {
				return err
			}
		}
		if err := copyFile(p, dir, b.sound, name); err != nil {
			return err
		}
	}
	return nil
}

// copyOut copies a file to the quarantine; what is no regular file gets another name.
func (p *repairer) copyOut(s *shard, dir backend.Dir, name string) error {
	f, err := dir.Open(name)
	if errors.Is(err, backend.ErrNotRegular) {
		return p.setAside(s, dir, name)
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return p.copyAway(s, name)
}

// copyFile makes a durable copy of a file in the same directory.
func copyFile(p *repairer, dir backend.Dir, from, to string) (err error) {
	src, err := dir.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	size, err := src.Size()
	if err != nil {
		return err
	}
	w, err := newFileWriter(dir, to+tempSuffix, format.MaxAlignment)
	if err != nil {
		return err
	}
	if err = w.copy(p.ctx, src, size); err == nil {
		err = w.publish(to)
	}
	if err != nil {
		return errors.Join(err, w.abandon())
	}
	return dir.Sync()
}

package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// A log beside the main one has two member files, alike: one in its directory says which log
// this is, one in the data directory says that it is part of it. So what is not mounted, or
// not where it belongs, is told from a log that is new. See docs/format.md, section 2.

const (
	// ownMember is the member file in a log's own directory.
	ownMember = "log" + memberSuffix
	// memberSuffix makes the name of a log's directory that of its member file in the data
	// directory.
	memberSuffix = ".member"
)

// MemberError is returned by Open, Verify, Dump and Repair when a log of a data directory is
// missing, is not the one that belongs there, or is opened by itself for writing. It wraps
// ErrMember. Nothing was changed.
type MemberError struct {
	// Path is the directory, or the file, that it is about.
	Path string
	// Reason says what is wrong, Advice what to do about it.
	Reason, Advice string
	// Err is ErrDamaged where a member file is damaged, else nil.
	Err error
}

func (e *MemberError) Error() string {
	return fmt.Sprintf("%s: %s: %s (nothing was changed)", e.Path, e.Reason, e.Advice)
}

func (e *MemberError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrMember}
	}
	return []error{ErrMember, e.Err}
}

// The directories of the logs beside the main one.
const (
	shardPrefix     = "shard-"
	dedicatedPrefix = "dedicated-"
)

// logName is the name of a log's directory in the data directory, "" of the main log.
func logName(kind format.MemberKind, number uint32) string {
	switch kind {
	case format.MemberShard:
		return fmt.Sprintf("%s%04d", shardPrefix, number)
	case format.MemberDedicated:
		return fmt.Sprintf("%s%06d", dedicatedPrefix, number)
	default:
		return ""
	}
}

// parseLogName is the inverse of logName. Other spellings of a number are no names: the log
// would have two.
func parseLogName(name string) (kind format.MemberKind, number uint32, ok bool) {
	kind = format.MemberShard
	digits, shared := strings.CutPrefix(name, shardPrefix)
	if !shared {
		kind = format.MemberDedicated
		digits, _ = strings.CutPrefix(name, dedicatedPrefix)
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	number = uint32(n)
	return kind, number, err == nil && n > 0 && logName(kind, number) == name
}

// describe says which log a member file stands for.
func describe(m *format.Member) string {
	if m.Kind == format.MemberMain {
		return fmt.Sprintf("the main log of data directory %x", m.Whole)
	}
	return fmt.Sprintf("%s of data directory %x", logName(m.Kind, m.Number), m.Whole)
}

// contents is what a directory has of a log.
type contents struct {
	member *format.Member // nil: no member file
	used   bool           // there are segments or a close marker
	empty  bool           // there is nothing at all
}

// removeIt is what to do about a damaged member file of the main log.
const removeIt = "remove it: the other member files tell what it said"

// lookInto tells what a directory has of a log. Its path and the name of its log are for errors.
func lookInto(dir backend.Dir, path, name string) (c contents, err error) {
	names, err := dir.List()
	if err != nil {
		return c, fmt.Errorf("list %s: %w", path, err)
	}
	c.empty = len(names) == 0
	for _, n := range names {
		_, segment := parseSegmentName(n)
		c.used = c.used || segment || n == markerName
	}
	advice := removeIt
	if name != "" {
		advice = fmt.Sprintf("copy %s%s, in the data directory, over it", name, memberSuffix)
	}
	if slices.Contains(names, ownMember) {
		c.member, err = readMember(dir, ownMember, path+"/"+ownMember, advice)
	}
	return c, err
}

// readMember reads a member file, nil if there is none. The advice is for one that is damaged.
func readMember(dir backend.Dir, name, path, advice string) (*format.Member, error) {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, causeOf(err, name))
	}
	defer f.Close()
	var b [format.MemberSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	m, err := format.ReadMember(b[:n])
	if errors.Is(err, format.ErrCorrupt) { // it was durable before it got its name
		return nil, &MemberError{Path: path, Reason: err.Error(), Advice: advice, Err: ErrDamaged}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &m, nil
}

// writeMember writes a member file. Its content is durable when it gets its name, the name once
// the directory is synced.
func writeMember(dir backend.Dir, name string, m format.Member) error {
	var b [format.MemberSize]byte
	format.PutMember(b[:], m)
	return writeSmallFile(dir, name, b[:])
}

// isPart is the error of a directory that is a part of another one and was opened for writing.
func isPart(path string, m *format.Member) error {
	return &MemberError{
		Path: path, Reason: "it is " + describe(m) + ", no data directory by itself",
		Advice: "open that data directory for writing; this one can only be read",
	}
}

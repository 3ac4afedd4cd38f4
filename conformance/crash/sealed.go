package crash

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/internal/knownkey"
)

// CheckSealed makes encrypted logs in a directory, which must be empty, and does to them what G16
// speaks of. It changes one bit of every so many bytes of a batch. What it finds wrong, or comes across,
// is a violation of Sealed.
func CheckSealed(b backend.Backend, dir string, files Files, every int) error {
	for _, how := range []struct {
		cipher wal.Cipher
		codec  wal.Codec
	}{{wal.AES(), nil}, {codec.ChaCha(), codec.S2(0)}} {
		s := &sealedLog{
			backend: b, dir: dir, files: files, every: int64(every), keys: &spy{}, want: map[key]map[int64]string{},
			options: []wal.Option{wal.WithCipher(how.cipher), wal.WithCodec(how.codec)},
		}
		for _, step := range []func() error{s.make, s.hidden, s.distinct, s.keyless, s.forged, s.flipped, s.replayed, s.goesOn} {
			if err := step(); err != nil {
				var v *Violation
				if errors.As(err, &v) {
					return v.in(how.cipher.Name())
				}
				return violation(Sealed, "%s: %v", how.cipher.Name(), err)
			}
		}
		if err := s.restore(nil); err != nil {
			return err
		}
	}
	return nil
}

// spy is a key provider that remembers what it was given.
type spy struct {
	knownkey.Provider
	secrets [][]byte
}

func (s *spy) Wrap(secret []byte) ([]byte, error) {
	s.secrets = append(s.secrets, bytes.Clone(secret))
	return s.Provider.Wrap(secret)
}

// sealedLog is an encrypted log, with its files as they were at some moments.
type sealedLog struct {
	backend backend.Backend
	dir     string
	files   Files
	every   int64
	keys    *spy
	options []wal.Option
	// want are the values that were appended, by offset.
	want map[key]map[int64]string
	// older is the first segment when there was more to come, killed what the death of the
	// second writer leaves, closed the log when that had closed it.
	older          []byte
	killed, closed map[string][]byte
}

// private is what no file may hold.
var private = []string{"the value of a record", "the key of a record", "the name of a header", "the content of a header"}

func sealedRecord(n int) wal.Record {
	return wal.Record{
		Timestamp: time.Unix(1_700_000_000, 0),
		Key:       []byte(private[1]), Value: fmt.Appendf(nil, "%s %06d", private[0], n),
		Headers: []wal.Header{{Key: private[2], Value: []byte(private[3])}},
	}
}

func (s *sealedLog) open(keys wal.KeyProvider, more ...wal.Option) (*wal.Manager, error) {
	opts := []wal.Option{wal.WithBackend(s.backend), wal.WithSegmentSize(512 << 10), wal.WithFsyncMode(wal.FsyncAlways)}
	if keys != nil {
		opts = append(append(opts, s.options...), wal.WithKeys(keys))
	}
	return wal.Open(s.dir, append(opts, more...)...)
}

var sealedParts = [2]key{{"sealed", 0}, {"sealed", 1}}

// make writes to the log by two opens.
func (s *sealedLog) make() error {
	m, err := s.open(s.keys)
	if err != nil {
		return err
	}
	for n := range 6 {
		if err := s.append(m, sealedParts[n%2], n); err != nil {
			return err
		}
	}
	if s.older, err = s.files.Read(firstSegment); err != nil {
		return err
	}
	if err := errors.Join(s.append(m, sealedParts[0], 6), m.Close()); err != nil {
		return err
	}
	if m, err = s.open(s.keys); err != nil {
		return err
	}
	if err := s.history(m); err != nil {
		return err
	}
	if s.killed, err = s.snapshot(); err != nil {
		return err
	}
	if err := m.Close(); err != nil {
		return err
	}
	s.closed, err = s.snapshot()
	return err
}

// history is the second open: all ways to append, equal records, and offsets that are given out twice.
func (s *sealedLog) history(m *wal.Manager) error {
	var failed error
	do := func(err error) { failed = errors.Join(failed, err) }
	for n := range 6 {
		do(s.append(m, sealedParts[n%2], 10+n))
	}
	for range 3 {
		do(s.append(m, sealedParts[0], 20))
	}
	p, err := m.Partition(sealedParts[0].topic, sealedParts[0].num)
	do(err)
	if failed != nil {
		return failed
	}
	again := p.NextOffset() - 2
	do(p.TruncateAfter(ctx, again-1))
	for o := range s.want[sealedParts[0]] {
		if o >= again {
			delete(s.want[sealedParts[0]], o)
		}
	}
	do(s.append(m, sealedParts[0], 30))
	do(s.append(m, sealedParts[0], 31))
	ack, err := p.AppendOnce(ctx, 7, 0, sealedRecord(32))
	do(err)
	do(ack.Wait(ctx))
	s.want[sealedParts[0]][ack.Offset()] = string(sealedRecord(32).Value)
	do(s.transact(m, 40))
	do(s.append(m, sealedParts[1], 50, 51, 52))
	return failed
}

// append appends records, by their numbers.
func (s *sealedLog) append(m *wal.Manager, to key, numbers ...int) error {
	var records []wal.Record
	for _, n := range numbers {
		records = append(records, sealedRecord(n))
	}
	ack, err := m.Append(ctx, to.topic, to.num, records...)
	if err != nil {
		return err
	}
	for i, r := range records {
		s.expect(to, ack+int64(i), r)
	}
	return nil
}

func (s *sealedLog) expect(at key, offset int64, r wal.Record) {
	if s.want[at] == nil {
		s.want[at] = map[int64]string{}
	}
	s.want[at][offset] = string(r.Value)
}

// transact appends to both partitions at once.
func (s *sealedLog) transact(m *wal.Manager, n int) error {
	tx, err := m.Begin()
	if err != nil {
		return err
	}
	for i, k := range sealedParts {
		p, err := m.Partition(k.topic, k.num)
		if err != nil {
			return err
		}
		s.expect(k, p.NextOffset(), sealedRecord(n+i))
		if err := tx.Append(p, sealedRecord(n+i)); err != nil {
			return err
		}
	}
	_, err = tx.Commit(ctx)
	return err
}

// hidden demands that nothing of the records, and no data key, is in a file as it is.
func (s *sealedLog) hidden() error {
	if len(s.keys.secrets) != 2 || bytes.Equal(s.keys.secrets[0][:32], s.keys.secrets[1][:32]) {
		return violation(Sealed, "two opens made %d data keys, or the same one twice", len(s.keys.secrets))
	}
	for _, files := range []map[string][]byte{s.killed, s.closed} {
		for name, b := range files {
			for _, text := range private {
				if bytes.Contains(b, []byte(text)) {
					return violation(Sealed, "file %s holds %q", name, text)
				}
			}
			for _, secret := range s.keys.secrets {
				if bytes.Contains(b, secret[:32]) {
					return violation(Sealed, "file %s holds a data key", name)
				}
			}
		}
	}
	return nil
}

// read reads all of the log, opened read-only. It returns what was refused, an error that is
// no refusal, and a violation where a record is not what was appended there or, with all, is missing.
func (s *sealedLog) read(all bool) (refused []error, err error) {
	m, err := s.open(s.keys, wal.WithReadOnly())
	if err != nil {
		if refusal(err) {
			return []error{err}, nil
		}
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for _, info := range m.Partitions() {
		k := key{info.Topic, info.Partition}
		p, err := m.Lookup(k.topic, k.num)
		if err != nil {
			return nil, err
		}
		n := 0
		for r, err := range p.Read(ctx, p.FirstOffset()) {
			switch {
			case err != nil && !refusal(err):
				return nil, fmt.Errorf("read %v: %w", k, err)
			case err != nil:
				refused = append(refused, err)
			case s.want[k][r.Offset] != string(r.Value):
				return nil, violation(Sealed, "%v: offset %d reads %q, and %q was appended", k, r.Offset, r.Value, s.want[k][r.Offset])
			default:
				n++
			}
		}
		if len(refused) == 0 && all && n != len(s.want[k]) {
			return nil, violation(Sealed, "%v: %d of %d records are there", k, n, len(s.want[k]))
		}
	}
	return refused, nil
}

// refusal reports whether an error says that something is not what was written.
func refusal(err error) bool {
	for _, is := range []error{wal.ErrTampered, wal.ErrDamaged, wal.ErrKey, wal.ErrCodec} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// goesOn demands that the right key does all that it should, after all.
func (s *sealedLog) goesOn() error {
	for _, files := range []map[string][]byte{s.killed, s.closed} {
		if err := s.restore(files); err != nil {
			return err
		}
		m, err := s.open(s.keys)
		if err != nil {
			return err
		}
		if err := errors.Join(s.append(m, sealedParts[0], 60), m.Close()); err != nil {
			return err
		}
		if refused, err := s.read(true); err != nil || len(refused) > 0 {
			return violation(Sealed, "with the right key some records are refused: %v, %v", refused, err)
		}
		for o, value := range s.want[sealedParts[0]] {
			if strings.HasSuffix(value, "060") {
				delete(s.want[sealedParts[0]], o)
			}
		}
	}
	return nil
}

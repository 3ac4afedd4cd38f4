package wal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// testKeys wraps with the first of its keys, and unwraps with all.
type testKeys struct {
	keys []byte // one byte makes a key

	mu      sync.Mutex
	secrets [][]byte // what was wrapped
}

func newTestKeys(keys ...byte) *testKeys { return &testKeys{keys: keys} }

func gcm(key byte) cipher.AEAD {
	return must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(bytes.Repeat([]byte{key}, 32)))))
}

func (k *testKeys) Wrap(secret []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets = append(k.secrets, bytes.Clone(secret))
	return gcm(k.keys[0]).Seal(nil, nil, secret, nil), nil
}

func (k *testKeys) Unwrap(wrapped []byte) ([]byte, error) {
	for _, key := range k.keys {
		if secret, err := gcm(key).Open(nil, nil, wrapped, nil); err == nil {
			return secret, nil
		}
	}
	return nil, errors.New("no key fits")
}

var withKeys = wal.WithKeys(newTestKeys('k'))

// secretLog makes a closed log of several segments, by several opens, each with keys: plain
// partitions of 40 records, and what else the opens had.
func secretLog(t tester, keys ...wal.KeyProvider) *sim.Disk {
	t.Helper()
	disk := newDisk(t, sim.Options{})
	for _, k := range keys {
		m, err := wal.Open(dataDir, append(repairOptions(disk), wal.WithKeys(k))...)
		require.NoError(t, err)
		for id := range int32(2) {
			p := partition(t, m, "t", id)
			for range 40 {
				_, err := p.Append(bg, value60(id, p.NextOffset()))
				require.NoError(t, err)
			}
		}
		require.NoError(t, m.Close())
	}
	return disk
}

// requireSecret demands that the records of secretLog are readable with keys, but for some.
func requireSecret(t tester, disk *sim.Disk, keys wal.KeyProvider, next int64, lost func(id int32, offset int64) bool) {
	t.Helper()
	m, err := wal.Open(dataDir, append(repairOptions(disk), wal.WithKeys(keys), wal.WithReadOnly())...)
	require.NoError(t, err)
	for id := range int32(2) {
		values, _ := readAll(t, lookup(t, m, "t", id))
		for o := range next {
			if lost != nil && lost(id, o) {
				require.NotContains(t, values, o)
				continue
			}
			require.Equal(t, string(value60(id, o).Value), values[o], "t/%d %d", id, o)
		}
	}
	require.NoError(t, m.Close())
}

// allBytes are those of all files of a log.
func allBytes(t tester, disk *sim.Disk) (all []byte) {
	t.Helper()
	for _, name := range disk.Files(dataDir) {
		all = append(all, must(disk.ReadFile(dataDir+"/"+name))...)
	}
	return all
}

func TestEncryptedRecordsAreNotOnDisk(t *testing.T) {
	for _, opts := range [][]wal.Option{nil, {withZeros}} {
		keys := newTestKeys('k')
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, append(opts, wal.WithKeys(keys))...)
		p := partition(t, m, "t", 0)
		for i := range 50 {
			_, err := p.Append(bg, wal.Record{Key: []byte("secret key"), Value: fmt.Appendf(nil, "secret value %d", i)})
			require.NoError(t, err)
		}
		got := offsets(t, p, 0)
		require.Len(t, got, 50)
		all := allBytes(t, disk)
		require.NotContains(t, string(all), "secret")
		require.Len(t, keys.secrets, 1)
		require.NotContains(t, string(all), string(keys.secrets[0][:32]))
		require.NoError(t, m.Close())
		m = open(t, disk, append(opts, wal.WithKeys(keys))...)
		n := 0
		for e, err := range m.Replay(bg) {
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("secret value %d", n), string(e.Value))
			n++
		}
		require.Equal(t, 50, n)
		require.NotContains(t, string(allBytes(t, disk)), "secret")
		info, err := m.Segments()
		require.NoError(t, err)
		require.Equal(t, "aes-256-gcm", info[0].Cipher)
	}
}

// A log becomes an encrypted one; what it has stays readable, and stays as it is.
func TestLogBecomesEncrypted(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 0), 5)
	require.NoError(t, m.Close())
	m = open(t, disk, withKeys)
	appendValues(t, partition(t, m, "t", 0), 5)
	requireValues(t, lookup(t, m, "t", 0), 0, 10)
	require.NoError(t, m.Close())

	m = open(t, disk, wal.WithReadOnly())
	n := 0
	var last error
	for r, err := range lookup(t, m, "t", 0).Read(bg, 0) {
		if last = err; err == nil {
			require.EqualValues(t, n, r.Offset)
			n++
		}
	}
	require.Equal(t, 5, n, "those before are plain")
	require.ErrorIs(t, last, wal.ErrKey)
	require.NoError(t, m.Close())

	m = open(t, disk, withKeys, wal.WithReadOnly(), wal.WithSealedOnly())
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 0), wal.ErrNotEncrypted)
	require.NoError(t, readError(lookup(t, m, "t", 0), 5))
	require.NoError(t, m.Close())
}

// Without the key, or with another one, nothing is written, cut off or called damaged.
func TestWrongOrMissingKey(t *testing.T) {
	disk := secretLog(t, newTestKeys('a'), newTestKeys('a'))
	require.NoError(t, disk.Delete(dataDir+"/close.marker"))
	require.NoError(t, zeroFooter(disk, len(names(disk, ".wal"))))
	before := allBytes(t, disk)
	for name, opts := range map[string][]wal.Option{"missing": nil, "wrong": {wal.WithKeys(newTestKeys('b'))}} {
		opts := append(repairOptions(disk), opts...)
		_, err := wal.Open(dataDir, opts...)
		require.ErrorIs(t, err, wal.ErrKey, name)
		require.NotErrorIs(t, err, wal.ErrDamaged)
		require.Contains(t, err.Error(), ".wal")

		m, err := wal.Open(dataDir, append(opts, wal.WithReadOnly())...)
		require.NoError(t, err)
		require.EqualValues(t, 80, lookup(t, m, "t", 0).NextOffset())
		err = readError(lookup(t, m, "t", 0), 17)
		require.ErrorIs(t, err, wal.ErrKey)
		require.NotErrorIs(t, err, wal.ErrDamaged)
		require.NoError(t, m.Close())

		m, err = wal.Open(dataDir, append(opts, wal.WithReadOnly(), wal.WithAllowDamage())...)
		require.NoError(t, err)
		require.Empty(t, m.Damage())
		require.ErrorIs(t, readError(lookup(t, m, "t", 0), 17), wal.ErrKey)
		require.NoError(t, m.Close())

		report, err := wal.Verify(bg, dataDir, opts...)
		require.Equal(t, name == "wrong", errors.Is(err, wal.ErrKey), "%s: a key that does not fit is told: %v", name, err)
		require.Equal(t, name == "missing", err == nil)
		require.NotErrorIs(t, err, wal.ErrDamaged)
		require.True(t, report.OK)
		require.EqualValues(t, 160, report.UncheckedBatches)
		repaired, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, opts...)
		require.NoError(t, err)
		require.Empty(t, repaired.Actions)
		require.Equal(t, before, allBytes(t, disk), name)
	}
	report, err := wal.Verify(bg, dataDir, append(repairOptions(disk), wal.WithKeys(newTestKeys('a')))...)
	require.NoError(t, err)
	require.True(t, report.OK)
	require.Zero(t, report.UncheckedBatches)
	requireSecret(t, disk, newTestKeys('a'), 80, nil)
}

// Another key for what comes next needs no rewriting: each segment is read with the one it has.
func TestKeyRotation(t *testing.T) {
	disk := secretLog(t, newTestKeys('a'), newTestKeys('b', 'a'))
	requireSecret(t, disk, newTestKeys('b', 'a'), 80, nil)
	m, err := wal.Open(dataDir, append(repairOptions(disk), wal.WithKeys(newTestKeys('b')))...)
	require.NoError(t, err)
	require.NoError(t, readError(lookup(t, m, "t", 0), 40))
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 39), wal.ErrKey)
	require.NoError(t, m.Close())
	_, err = wal.Open(dataDir, append(repairOptions(disk), wal.WithKeys(newTestKeys('a')))...)
	require.ErrorIs(t, err, wal.ErrKey, "the newest segment has another")
}

// failingKeys is a provider that fails, or makes what cannot be stored.
type failingKeys struct {
	*testKeys
	wrapped []byte
	err     error
}

func (k failingKeys) Wrap([]byte) ([]byte, error) { return k.wrapped, k.err }

func TestFailingKeyProvider(t *testing.T) {
	for _, k := range []failingKeys{
		{err: errNoSpace}, {}, {wrapped: make([]byte, format.MaxWrappedKey+1)},
	} {
		disk := newDisk(t, sim.Options{})
		_, err := tryOpen(disk, wal.WithKeys(k))
		require.ErrorIs(t, err, wal.ErrKey)
		require.Empty(t, names(disk, ".wal"))
	}
}

// watchedCipher is AES, and notes what is sealed with which key and nonce.
type watchedCipher struct {
	wal.Cipher
	seen *recorder[string]
}

func (c watchedCipher) New(key []byte) (cipher.AEAD, error) {
	aead, err := c.Cipher.New(key)
	return watchedAEAD{aead, string(key), c.seen}, err
}

type watchedAEAD struct {
	cipher.AEAD
	key  string
	seen *recorder[string]
}

func (a watchedAEAD) Seal(dst, nonce, plain, about []byte) []byte {
	a.seen.add(a.key + string(nonce))
	return a.AEAD.Seal(dst, nonce, plain, about)
}

// No key is used twice with a nonce: not when a crash took back what was written, not when there
// was no space and LSNs are used again, not when a segment's file is, not by a transaction.
func TestNoncesNeverRepeat(t *testing.T) {
	seen, failed := &recorder[string]{}, 0
	disk := newDisk(t, sim.Options{})
	for round := range 8 {
		m := open(t, disk, withKeys, wal.WithCipher(watchedCipher{wal.AES(), seen}), small, wal.WithRecycleLimit(3))
		p := partition(t, m, "t", 0)
		next := p.NextOffset()
		for i := range 30 {
			if i%10 == 9 {
				disk.Inject(sim.Fault{Op: sim.OpWrite, Name: "*.wal", Err: errNoSpace})
			}
			if _, err := p.Append(bg, record("%d in round %d", i, round)); err != nil {
				require.ErrorIs(t, err, wal.ErrNoSpace)
				failed++
			}
		}
		tx, err := m.Begin()
		require.NoError(t, err)
		require.NoError(t, tx.Append(p, record("in a transaction")))
		require.NoError(t, tx.Append(p, record("in it too")))
		_, err = tx.Commit(bg)
		require.NoError(t, err)
		require.NoError(t, p.TruncateBefore(bg, next))
		disk.ClearFaults()
		disk = crash(t, disk)
	}
	require.Positive(t, failed)
	all := seen.all()
	require.GreaterOrEqual(t, len(all), 8*32)
	keys, nonces := map[string]bool{}, map[string]bool{}
	for _, s := range all {
		keys[s[:32]], nonces[s] = true, true
	}
	require.Equal(t, 8, len(keys), "each open has a key of its own") // no keys in the message
	require.Equal(t, len(all), len(nonces))
}

// What is said in errors, by the log, and on disk holds no part of a key.
func TestKeysDoNotShow(t *testing.T) {
	keys := newTestKeys('s')
	disk := secretLog(t, keys)
	all := string(allBytes(t, disk))
	_, err := tryOpen(disk, wal.WithKeys(newTestKeys('x')))
	require.Error(t, err)
	for _, i := range dump(t, disk, 0) {
		all += fmt.Sprintf("%+v %v", i, i.Header)
	}
	all += err.Error() + fmt.Sprintf("%v", wal.Option(wal.WithKeys(keys)) != nil)
	for _, s := range keys.secrets {
		require.NotContains(t, all, string(s[:16]))
		require.NotContains(t, all, hex.EncodeToString(s[:8]))
	}
}

// The engine's own tests hold of an encrypted log too.
func TestEncryptedLog(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"move":           TestMoveLaggingPartition,
		"move pieces":    TestMovePiecesOfAPartition,
		"move codecless": TestMoveWithoutTheCodec,
		"repair damage":  TestRepairDamage,
		"repair frame":   TestRepairKeepsSoundBatchesOfAFrame,
		"read anywhere":  TestReadFromAnyOffset,
		"callers memory": TestReadRecordsAreTheCallers,
		"replay":         TestReplayIsTheUnionOfPartitions,
		"flipped bits":   TestVerifyFindsEveryFlippedBit,
		"property":       TestRepairProperty,
		"large batch":    TestBatchLargerThanSegment,
		"from memory":    TestTailIsReadFromMemory,
		"repair shards":  TestRepairShards,
		"verify damage":  TestVerifyDamage,
		"beside writer":  TestVerifyBesideWriter,
		"transaction":    TestTransaction,
		"large one":      TestTransactionOfManyAppends,
		"torn one":       TestTornTransactionIsDroppedWhole,
		"damaged one":    TestDamagedTransactionKeepsItsRest,
	} {
		t.Run(name, func(t *testing.T) { withOptions(t, test, withKeys) })
		if slices.Contains([]string{"property", "replay", "move", "transaction"}, name) {
			t.Run(name+" compressed", func(t *testing.T) { withOptions(t, test, withKeys, withZeros) })
		}
	}
}

// What a user keeps in the data directory is not the log's to remove: his key file least of all.
func TestFilesOfTheUserStay(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	require.NoError(t, open(t, disk).Close())
	own := []string{"master.key", "server.key", "0123456789abcdef.key", "notes.tmp", "prepare-notes.tmp", "README"}
	for _, name := range own {
		require.NoError(t, disk.WriteFile(dataDir+"/"+name, []byte("the user's")))
	}
	for range 3 {
		m := open(t, disk, withKeys, wal.WithSegmentSize(64<<10))
		for range 40 {
			must(partition(t, m, "t", 0).Append(bg, big(8<<10, 'x')))
		}
		require.NoError(t, partition(t, m, "t", 0).TruncateBefore(bg, 30))
		require.NoError(t, m.Close())
	}
	for _, name := range own {
		require.Equal(t, "the user's", string(must(disk.ReadFile(dataDir+"/"+name))), name)
	}
}

package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// primable is zeros with dictionaries: a dictionary is "dict", its CRC, and a word; each word in the
// data becomes a token that no test has elsewhere.
type primable struct{ zeros }

const primedID = 41

var withPrimable = wal.WithCodec(primable{zeros{zerosID}})

// testDictionary is the dictionary of a word.
func testDictionary(word string) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte("dict"), crc32.ChecksumIEEE([]byte(word))), word...)
}

func (primable) PrimedID() uint8 { return primedID }

func (primable) DictionaryID(b []byte) (uint32, error) {
	if len(b) < 9 || string(b[:4]) != "dict" || crc32.ChecksumIEEE(b[8:]) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, errors.New("no dictionary of primable")
	}
	return binary.LittleEndian.Uint32(b[4:]), nil
}

func (primable) DictionaryOf(data []byte) (uint32, error) {
	if len(data) < 4 {
		return 0, errors.New("short")
	}
	return binary.LittleEndian.Uint32(data), nil
}

func (primable) Prime(b []byte) (wal.Codec, error) {
	return primedWord{string(b[4:8]), string(b[8:])}, nil
}

const wordToken = "\x01Z\x02Q"

type primedWord struct{ id, word string }

func (primedWord) ID() uint8    { return primedID }
func (primedWord) Name() string { return "primed" }

func (c primedWord) Compress(dst, src []byte) []byte {
	dst = append(dst, c.id...)
	for len(src) > 0 {
		n := bytes.Index(src, []byte(c.word))
		if n < 0 {
			return append(dst, src...)
		}
		dst = append(append(dst, src[:n]...), wordToken...)
		src = src[n+len(c.word):]
	}
	return dst
}

func (c primedWord) Decompress(dst, src []byte) error {
	if !bytes.HasPrefix(src, []byte(c.id)) {
		return errors.New("of another dictionary")
	}
	out := bytes.ReplaceAll(src[4:], []byte(wordToken), []byte(c.word))
	if copy(dst, out) != len(out) || len(out) != len(dst) {
		return errors.New("another length")
	}
	return nil
}

// wordy is a record that a dictionary of the word makes smaller.
func wordy(word string, n int) wal.Record {
	return record("%s%d", strings.Repeat(word, 20), n+10)
}

func setDictionary(t tester, m *wal.Manager, topic, word string) wal.DictionaryInfo {
	t.Helper()
	info, err := m.SetDictionary(bg, topic, testDictionary(word))
	require.NoError(t, err)
	return info
}

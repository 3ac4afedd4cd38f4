package format

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

const goldenDict = "testdata/golden/v1/dictionary.bin"

var goldenDictionary = Dictionary{
	Codec: CodecZstdDict | CodecSealed, ID: 0x0a0b0c0d, Number: 3, Topic: "orders", RawLength: 12, Key: &goldenKey,
	Data: append([]byte("a dictionary"), bytes.Repeat([]byte("s"), SealOverhead)...),
}

func TestGoldenDictionary(t *testing.T) {
	b := golden(t, goldenDict)
	d, err := ReadDictionary(append(bytes.Clone(b), make([]byte, 100)...))
	require.NoError(t, err)
	require.Equal(t, &goldenDictionary, d)
	for i := range b {
		b[i] ^= 1
		_, err := ReadDictionary(b)
		require.Error(t, err, "byte %d", i)
		b[i] ^= 1
	}
	for n := range b {
		_, err := ReadDictionary(b[:n])
		require.ErrorIs(t, err, ErrCorrupt, "cut to %d", n)
	}
	b[8]++
	_, err = ReadDictionary(b)
	require.ErrorIs(t, err, ErrVersion)
	longest := Dictionary{Topic: string(make([]byte, MaxTopic)), Key: &Key{Wrapped: make([]byte, MaxWrappedKey)}, Data: make([]byte, MaxDictionary+SealOverhead)}
	require.Len(t, AppendDictionary(nil, &longest), MaxDictionaryFile)
}

func TestDictionaryRefuses(t *testing.T) {
	plain := Dictionary{Codec: CodecZstdDict, ID: 1, Number: 1, Topic: "t", RawLength: 3, Data: []byte("abc")}
	d, err := ReadDictionary(AppendDictionary(nil, &plain))
	require.NoError(t, err)
	require.Equal(t, &plain, d)
	for name, change := range map[string]func(d *Dictionary){
		"no codec":      func(d *Dictionary) { d.Codec = CodecNone },
		"no id":         func(d *Dictionary) { d.ID = 0 },
		"no number":     func(d *Dictionary) { d.Number = 0 },
		"no topic":      func(d *Dictionary) { d.Topic = "" },
		"longer topic":  func(d *Dictionary) { d.Topic = string(make([]byte, MaxTopic+1)) },
		"nothing":       func(d *Dictionary) { d.RawLength, d.Data = 0, nil },
		"more":          func(d *Dictionary) { d.RawLength, d.Data = MaxDictionary+1, make([]byte, MaxDictionary+1) },
		"other length":  func(d *Dictionary) { d.RawLength++ },
		"no key for it": func(d *Dictionary) { d.Codec |= CodecSealed },
	} {
		d := plain
		change(&d)
		_, err := ReadDictionary(AppendDictionary(nil, &d))
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	for _, at := range []int{dictZero1, dictZero2, dictZero2 + 1} {
		b := AppendDictionary(nil, &plain)
		b[at] = 1
		le.PutUint32(b[len(b)-4:], CRC(b[:len(b)-4]))
		_, err := ReadDictionary(b)
		require.ErrorIs(t, err, ErrVersion)
	}
}

func FuzzDictionaryFile(f *testing.F) {
	f.Add(AppendDictionary(nil, &goldenDictionary))
	f.Add(AppendDictionary(nil, &Dictionary{Codec: CodecZstdDict, ID: 1, Number: 1, Topic: "t", RawLength: 3, Data: []byte("abc")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > fuzzMost || len(b) < 4 {
			return
		}
		mended := bytes.Clone(b)
		le.PutUint32(mended[len(b)-4:], CRC(b[:len(b)-4]))
		for _, b := range [][]byte{b, mended} {
			d, err := ReadDictionary(b)
			if err == nil {
				again := AppendDictionary(nil, d)
				require.Equal(t, again, b[:len(again)])
			}
		}
	})
}

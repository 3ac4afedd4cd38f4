package script

import (
	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/internal/knownkey"
)

// Of package codec nothing but the codecs themselves is here: whoever tests a backend downloads those
// that the log's users have, and no key provider.

// storage are the options of what is done to records on their way to the disk, another one in each
// round: a log holds what codecs, ciphers and checksums of different opens made.
func (p Plan) storage() []wal.Option {
	r := random(p.Seed+uint64(p.Round)<<48, 5)
	opts := []wal.Option{
		wal.WithCodec(pick(r, nil, codec.LZ4(0), codec.S2(0), codec.Zstd(0))),
		wal.WithChecksum(pick(r, wal.ChecksumCRC32C, wal.ChecksumCRC32C, wal.ChecksumXXH64)),
	}
	if p.Encrypted() {
		opts = append(opts, Keys(), wal.WithCipher(pick(r, wal.AES(), codec.ChaCha())))
	}
	return opts
}

// Encrypted reports whether this round's records are encrypted: from the beginning, from the second
// round on, or never. A log that was encrypted once stays so.
func (p Plan) Encrypted() bool { return p.Round >= pick(random(p.Seed, 6), 0, 1, 1<<30) }

// Keys has a log of any plan be read.
func Keys() wal.Option { return wal.WithKeys(knownkey.Provider(0)) }

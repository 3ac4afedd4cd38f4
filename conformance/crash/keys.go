package crash

import (
	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/internal/knownkey"
)

// drawKeys draws how a workload encrypts: every third does not.
func drawKeys(seed uint64) (opts []wal.Option, text string) {
	how := pick(newRand(seed, 10), nil, wal.AES(), codec.ChaCha())
	if how == nil {
		return nil, "not encrypted"
	}
	return []wal.Option{wal.WithKeys(knownkey.Provider(0)), wal.WithCipher(how)}, how.Name()
}

// readerKey reads what a workload wrote, encrypted or not.
var readerKey = wal.WithKeys(knownkey.Provider(0))

package crash

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
)

// drawKeys draws how a workload encrypts: every third does not.
func drawKeys(seed uint64) (opts []wal.Option, text string) {
	how := pick(newRand(seed, 10), nil, wal.AES(), codec.ChaCha())
	if how == nil {
		return nil, "not encrypted"
	}
	return []wal.Option{wal.WithKeys(oneKey{}), wal.WithCipher(how)}, how.Name()
}

// readerKey reads what a workload wrote, encrypted or not.
var readerKey = wal.WithKeys(oneKey{})

// oneKey is a key provider that everybody may know.
type oneKey struct{}

func (oneKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k oneKey) Wrap(secret []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, secret, nil), nil
}

func (k oneKey) Unwrap(wrapped []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, wrapped, nil)
}

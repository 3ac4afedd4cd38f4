package codec

import (
	"crypto/cipher"

	"golang.org/x/crypto/chacha20poly1305"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

func init() { wal.RegisterCipher(ChaCha()) }

// ChaCha returns ChaCha20-Poly1305: for processors that have no instructions for AES.
func ChaCha() wal.Cipher { return chaCha{} }

type chaCha struct{}

var _ wal.Cipher = chaCha{}

func (chaCha) ID() uint8                           { return format.CipherChaCha }
func (chaCha) Name() string                        { return format.CipherName(format.CipherChaCha) }
func (chaCha) New(key []byte) (cipher.AEAD, error) { return chacha20poly1305.New(key) }

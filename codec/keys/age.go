package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"

	wal "github.com/chronik-go/wal/core"
)

// Age is a key provider of age recipients and identities.
type Age struct {
	recipients []age.Recipient
	identities []age.Identity
}

var _ wal.KeyProvider = (*Age)(nil)

// mostSecret bounds what is read of a wrapped secret, bytes.
const mostSecret = 4096

// NewAge returns a provider that wraps for all of the recipients, and unwraps with the first of the
// identities that can. A program that only appends to a log still needs an identity: an open for writing unwraps the newest
// key.
func NewAge(recipients []age.Recipient, identities []age.Identity) (*Age, error) {
	if len(recipients) == 0 || len(identities) == 0 {
		return nil, fmt.Errorf("%w: age: at least one recipient and one identity", wal.ErrKey)
	}
	if slices.Contains(recipients, nil) || slices.Contains(identities, nil) {
		return nil, fmt.Errorf("%w: age: a recipient or identity is nil", wal.ErrKey)
	}
	return &Age{recipients, identities}, nil
}

// ReadAgeFile reads identities in the format of age-keygen. The first one's recipient is wrapped for;
// all unwrap. Errors are those of Read.
func ReadAgeFile(path string) (*Age, error) {
	text, err := readText(path, ageHint)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return parseAge(path, text)
}

func parseAge(path string, text []byte) (*Age, error) {
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // which may hold a line of it
		return nil, fileError(path, errors.New("these are no age identities"), ageHint)
	}
	var recipient age.Recipient
	switch first := identities[0].(type) {
	case *age.X25519Identity:
		recipient = first.Recipient()
	case *age.HybridIdentity:
		recipient = first.Recipient()
	default:
		return nil, fmt.Errorf("%w: key file %s: the first identity is of a kind that is not known here: use NewAge", wal.ErrKey, path)
	}
	return NewAge([]age.Recipient{recipient}, identities)
}

// String says what it is.
func (a *Age) String() string {
	if a == nil {
		return "no keys"
	}
	return fmt.Sprintf("age, %d identities", len(a.identities))
}

// Wrap implements wal.KeyProvider.
func (a *Age) Wrap(secret []byte) ([]byte, error) {
	if a == nil {
		return nil, errors.New("no recipient: an Age comes from NewAge")
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, a.recipients...)
	if err == nil {
		_, err = w.Write(secret)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// Unwrap implements wal.KeyProvider.
func (a *Age) Unwrap(wrapped []byte) ([]byte, error) {
	if a == nil {
		return nil, errors.New("no identity: an Age comes from NewAge")
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), a.identities...)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, mostSecret)
	for n := 0; ; {
		more, err := r.Read(secret[n:])
		n += more
		switch {
		case errors.Is(err, io.EOF):
			return secret[:n], nil
		case err == nil && n == len(secret):
			err = errors.New("the secret is too long")
		}
		if err != nil { // it was cut off, for one
			clear(secret)
			return nil, err
		}
	}
}

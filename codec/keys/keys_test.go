package keys_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/codec"
	"github.com/chronik-go/wal/codec/keys"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

var (
	key1 = strings.Repeat("0123456789abcdef", 4)
	key2 = strings.Repeat("fedcba9876543210", 4)
)

func write(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	return path
}

func fileKeys(t *testing.T, lines ...string) *keys.File {
	t.Helper()
	f, err := keys.ReadFile(write(t, lines...))
	require.NoError(t, err)
	return f
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return i
}

func ageKeys(t *testing.T, identities ...*age.X25519Identity) *keys.Age {
	t.Helper()
	var lines []string
	for _, i := range identities {
		lines = append(lines, i.String())
	}
	a, err := keys.ReadAgeFile(write(t, lines...))
	require.NoError(t, err)
	return a
}

// providers are those to be tested: one, one that knows its keys too, one that knows others.
func providers(t *testing.T) map[string][3]wal.KeyProvider {
	first, second := identity(t), identity(t)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(t, err)
	old, err := keys.NewAge([]age.Recipient{hybrid.Recipient()}, []age.Identity{hybrid})
	require.NoError(t, err)
	both, err := keys.NewAge([]age.Recipient{first.Recipient(), second.Recipient()}, []age.Identity{first, hybrid})
	require.NoError(t, err)
	return map[string][3]wal.KeyProvider{
		"file":   {fileKeys(t, key1), fileKeys(t, "# new", key2, "", " "+key1+"\r"), fileKeys(t, key2)},
		"age":    {ageKeys(t, first), ageKeys(t, second, first), ageKeys(t, second)},
		"hybrid": {old, both, ageKeys(t, first)},
	}
}

func TestWrapAndUnwrap(t *testing.T) {
	secret := bytes.Repeat([]byte("s"), 56)
	for name, p := range providers(t) {
		wrapped, err := p[0].Wrap(secret)
		require.NoError(t, err)
		require.Less(t, len(wrapped), 2048)
		require.NotContains(t, string(wrapped), "sss")
		for _, k := range p[:2] {
			got, err := k.Unwrap(wrapped)
			require.NoError(t, err, name)
			require.Equal(t, secret, got)
			clear(got)
		}
		_, err = p[2].Unwrap(wrapped)
		require.Error(t, err)
		again, err := p[0].Wrap(secret)
		require.NoError(t, err)
		require.NotEqual(t, wrapped, again)
		for i := range wrapped {
			wrapped[i] ^= 1
			got, err := p[0].Unwrap(wrapped)
			require.True(t, err != nil || bytes.Equal(got, secret), "%s: byte %d", name, i) // age takes other spellings of its header
			wrapped[i] ^= 1
		}
		for n := range len(wrapped) {
			_, err := p[0].Unwrap(wrapped[:n])
			require.Error(t, err, "%s: cut to %d", name, n)
		}
	}
}

func TestReadEitherKind(t *testing.T) {
	p, err := keys.Read(write(t, key1))
	require.NoError(t, err)
	require.IsType(t, &keys.File{}, p)
	p, err = keys.Read(write(t, "# created", identity(t).String()))
	require.NoError(t, err)
	require.IsType(t, &keys.Age{}, p)
	_, err = keys.Read(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, wal.ErrKey)
}

// A log of each provider and cipher is read by who has the key, and its key is changed without
// rewriting it.
func TestLog(t *testing.T) {
	ctx := context.Background()
	for name, p := range providers(t) {
		for _, how := range []wal.Cipher{wal.AES(), codec.ChaCha()} {
			disk := sim.New(sim.Options{})
			for i, k := range p[:2] {
				m, err := wal.Open("/d", wal.WithBackend(disk), wal.WithKeys(k), wal.WithCipher(how), wal.WithCodec(codec.LZ4(0)))
				require.NoError(t, err, name)
				part, err := m.Partition("t", 0)
				require.NoError(t, err)
				for n := range 10 {
					_, err := part.Append(ctx, wal.Record{Value: fmt.Appendf(nil, "round %d, %d, %0100d", i, n, n)})
					require.NoError(t, err)
				}
				require.NoError(t, m.Close())
			}
			m, err := wal.Open("/d", wal.WithBackend(disk), wal.WithKeys(p[1]), wal.WithReadOnly())
			require.NoError(t, err)
			info, err := m.Segments()
			require.NoError(t, err)
			require.Equal(t, how.Name(), info[0].Cipher)
			part, err := m.Lookup("t", 0)
			require.NoError(t, err)
			n := 0
			for r, err := range part.Read(ctx, 0) {
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("round %d, %d, %0100d", n/10, n%10, n%10), string(r.Value))
				n++
			}
			require.Equal(t, 20, n)
			require.NoError(t, m.Close())
			_, err = wal.Open("/d", wal.WithBackend(disk), wal.WithKeys(p[0]))
			require.ErrorIs(t, err, wal.ErrKey, "the newest segment has another key")
		}
	}
}

// An error says which file it is about and what is expected, and nothing of what is in it.
func TestErrorsNameTheFile(t *testing.T) {
	folder := t.TempDir()
	digits, identities := "it has to hold a key of 64 hexadecimal digits a line", "it has to hold age identities"
	for _, c := range []struct{ path, want, hint string }{
		{filepath.Join(folder, "none"), "no such file", digits},
		{folder, "is a directory", digits},
		{write(t), "no key in it", digits},
		{write(t, "# key", "secret"), "line 2: 6 characters", digits},
		{write(t, "secret"+key1[6:]), "line 1: a character that is no hexadecimal digit", digits},
		{write(t, "AGE-SECRET-KEY-secret"), "no age identities", identities},
		{write(t, key1, "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"), "no age identities", identities}, // not both kinds
		{"/dev/zero", "more than 1048576 bytes", digits},
	} {
		for _, read := range []func(string) error{
			func(path string) error { _, err := keys.Read(path); return err },
			func(path string) error {
				if c.hint == identities {
					_, err := keys.ReadAgeFile(path)
					return err
				}
				_, err := keys.ReadFile(path)
				return err
			},
		} {
			err := read(c.path)
			require.ErrorIs(t, err, wal.ErrKey)
			require.ErrorContains(t, err, "key file "+c.path+": ")
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, c.hint)
			require.NotContains(t, err.Error(), "secret"+key1[6:10])
			require.NotContains(t, err.Error(), "KEY-secret")
		}
	}
}

// A key may come out of a pipe, which can be read once.
func TestKeyOutOfAPipe(t *testing.T) {
	for _, text := range []string{key1, identity(t).String()} {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		_, err = w.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		path := fmt.Sprintf("/dev/fd/%d", r.Fd())
		_, err = keys.Read(path)
		require.NoError(t, err)
		require.NoError(t, keys.Exposed(path))
		require.NoError(t, r.Close())
	}
}

func TestExposed(t *testing.T) {
	path := write(t, key1)
	for mode, exposed := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o700: false, 0o644: true, 0o640: true, 0o604: true, 0o620: true} {
		require.NoError(t, os.Chmod(path, mode))
		err := keys.Exposed(path)
		require.Equal(t, exposed, err != nil, "%o: %v", mode, err)
		if exposed {
			require.ErrorContains(t, err, fmt.Sprintf("%s has mode %04o", path, mode))
			require.ErrorContains(t, err, "chmod 600")
		}
		_, err = keys.ReadFile(path)
		require.NoError(t, err)
	}
	require.NoError(t, keys.Exposed(filepath.Join(t.TempDir(), "none")))
}

// A provider that nobody made is an error, and no panic.
func TestProvidersOfNothing(t *testing.T) {
	for _, p := range []wal.KeyProvider{(*keys.File)(nil), &keys.File{}, (*keys.Age)(nil), &keys.Age{}} {
		_, err := p.Wrap(make([]byte, 56))
		require.Error(t, err, "%T", p)
		_, err = p.Unwrap(make([]byte, 56))
		require.Error(t, err, "%T", p)
		require.NotEmpty(t, fmt.Sprint(p))
		_, err = wal.Open("/d", wal.WithBackend(sim.New(sim.Options{})), wal.WithKeys(p))
		require.ErrorIs(t, err, wal.ErrKey)
	}
	_, err := keys.NewAge([]age.Recipient{nil}, []age.Identity{identity(t)})
	require.ErrorIs(t, err, wal.ErrKey)
	_, err = keys.NewAge([]age.Recipient{identity(t).Recipient()}, []age.Identity{nil})
	require.ErrorIs(t, err, wal.ErrKey)
}

func TestBadFiles(t *testing.T) {
	secret := key1[:63]
	for _, lines := range [][]string{{""}, {"# nothing"}, {secret}, {key1 + "0"}, {secret + "g"}, {key1, "x"}} {
		_, err := keys.ReadFile(write(t, lines...))
		require.ErrorIs(t, err, wal.ErrKey, "%q", lines)
		require.NotContains(t, err.Error(), key1[:16])
	}
	_, err := keys.ReadFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, wal.ErrKey)
	require.ErrorIs(t, err, os.ErrNotExist)

	i := identity(t).String()
	for _, lines := range [][]string{{""}, {i[:len(i)-1]}, {"AGE-PLUGIN-X"}} {
		_, err := keys.ReadAgeFile(write(t, lines...))
		require.ErrorIs(t, err, wal.ErrKey, "%q", lines)
		require.NotContains(t, err.Error(), i[20:40])
	}
	_, err = keys.ReadAgeFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = keys.NewAge(nil, []age.Identity{identity(t)})
	require.ErrorIs(t, err, wal.ErrKey)
}

// What a provider looks like printed has nothing of its keys.
func TestProvidersDoNotShowKeys(t *testing.T) {
	raw, err := hex.DecodeString(key1)
	require.NoError(t, err)
	f := fileKeys(t, key1)
	id := identity(t)
	_, failed := f.Unwrap(make([]byte, 100))
	require.Error(t, failed)
	for _, text := range []string{fmt.Sprintf("%v %s", f, f), failed.Error(), fmt.Sprint(ageKeys(t, id))} {
		require.NotContains(t, text, key1[:16])
		require.NotContains(t, text, string(raw[:8]))
		require.NotContains(t, text, id.String()[20:40])
	}
}

// Whatever stands in the log in place of a wrapped key is refused, without panic.
func FuzzUnwrap(f *testing.F) {
	path := filepath.Join(f.TempDir(), "keys")
	require.NoError(f, os.WriteFile(path, []byte(key1), 0o600))
	file, err := keys.ReadFile(path)
	require.NoError(f, err)
	i, err := age.ParseX25519Identity("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX")
	require.NoError(f, err)
	a, err := keys.NewAge([]age.Recipient{i.Recipient()}, []age.Identity{i})
	require.NoError(f, err)
	for _, p := range []wal.KeyProvider{file, a} {
		wrapped, err := p.Wrap(make([]byte, 56))
		require.NoError(f, err)
		f.Add(wrapped)
	}
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		for _, p := range []wal.KeyProvider{file, a} {
			if secret, err := p.Unwrap(wrapped); err == nil {
				require.LessOrEqual(t, len(secret), 4096)
			}
		}
	})
}

// Whatever is in a key file: it is keys that wrap and unwrap, or a typed error that tells nothing of it.
func FuzzRead(f *testing.F) {
	identity := "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	for _, text := range []string{"", key1, key1 + "\r\n# old\n\n" + key2, key1[:63] + "g", key1 + key1, identity, "#\n" + identity + "\n" + identity,
		identity[:40], key1 + "\n" + identity} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "keys")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		p, err := keys.Read(path)
		if err != nil {
			require.ErrorIs(t, err, wal.ErrKey)
			told := strings.ReplaceAll(err.Error(), path, "")
			for line := range bytes.Lines(text) {
				if line = bytes.TrimSpace(line); len(line) >= 16 {
					require.NotContains(t, told, string(line))
				}
			}
			return
		}
		secret := []byte("a data key of some bytes")
		wrapped, err := p.Wrap(secret)
		require.NoError(t, err)
		require.NotContains(t, string(wrapped), string(secret))
		got, err := p.Unwrap(wrapped)
		require.NoError(t, err)
		require.Equal(t, secret, got)
	})
}

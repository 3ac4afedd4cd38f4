package cli

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chronik-go/wal/codec"
	"github.com/chronik-go/wal/codec/keys"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// globalFlags are the flags of every command.
type globalFlags struct {
	dir, backend, fsync, logLevel, codec, checksum, keyFile, cipher string

	set *pflag.FlagSet
}

func (f *globalFlags) register(set *pflag.FlagSet) {
	f.set = set
	set.StringVar(&f.dir, "dir", "", "data `directory` (default: $CHRONIK_WAL_DATA_DIR)")
	f.backend = "auto"
	has, hasNot := backendNames()
	set.Var(choice{&f.backend, has, hasNot}, "backend", "IO backend: "+strings.Join(has, ", ")+hasNot)
	choiceFlag(set, &f.fsync, "fsync", "", []string{"always", "batch", "periodic"},
		"when to acknowledge: always, batch or periodic (default: $CHRONIK_WAL_FSYNC_MODE or batch)")
	choiceFlag(set, &f.logLevel, "log-level", "off", []string{"trace", "debug", "info", "warn", "error", "off"},
		"what to log on standard error: trace, debug, info, warn, error or off")
	choiceFlag(set, &f.checksum, "checksum", "crc32c", []string{"crc32c", "xxh64"}, "what guards what is appended: crc32c or xxh64")
	set.Var((*fileFlag)(&f.keyFile), "key-file", "`file` with the key, 64 hexadecimal digits a line, or age identities: the log is or becomes encrypted")
	choiceFlag(set, &f.cipher, "cipher", wal.AES().Name(), []string{wal.AES().Name(), codec.ChaCha().Name()},
		"what --key-file encrypts with: aes-256-gcm or chacha20-poly1305")
	f.codec = "none"
	set.Var((*codecFlag)(&f.codec), "codec", "compression of what is appended: "+orList(codec.Names())+", with a level behind a colon, as in zstd:3")
}

// backendNames lists what --backend may be, and says what this program was built without.
func backendNames() (has []string, hasNot string) {
	has = []string{"auto"}
	for _, b := range backend.Linked() {
		has = append(has, b.Name())
	}
	var others []string
	for _, name := range knownBackends {
		if !slices.Contains(has, name) {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		hasNot = " (not linked in this build: " + strings.Join(others, ", ") + ")"
	}
	return has, hasNot
}

// dataDir returns the directory that the command works on.
func (c *cli) dataDir() (string, error) {
	if c.flags.dir != "" {
		return c.flags.dir, nil
	}
	if dir := wal.DataDir(); dir != "" {
		return dir, nil
	}
	return "", usagef("no data directory: give --dir DIR or set CHRONIK_WAL_DATA_DIR")
}

// options turns the flags of every command into options of the log.
func (c *cli) options() ([]wal.Option, error) {
	var opts []wal.Option
	if c.flags.backend != "auto" {
		b, err := backend.Named(c.flags.backend)
		if err != nil {
			return nil, usagef("--backend: %w", err)
		}
		opts = append(opts, wal.WithBackend(b))
	}
	if c.flags.fsync != "" {
		mode, err := wal.ParseFsyncMode(c.flags.fsync)
		if err != nil {
			return nil, usagef("--fsync: %w", err)
		}
		opts = append(opts, wal.WithFsyncMode(mode))
	}
	compress, err := codec.Named(c.flags.codec)
	if err != nil {
		return nil, usagef("--codec: %w", err)
	}
	if c.flags.set.Changed("cipher") && c.flags.keyFile == "" {
		return nil, usagef("--cipher encrypts nothing without a key: give --key-file F too")
	}
	if c.flags.keyFile != "" {
		provider, err := keys.Read(c.flags.keyFile)
		if err != nil { // what to do about it is not what errors of a log advise
			return nil, errors.New("--key-file: " + err.Error())
		}
		if err := keys.Exposed(c.flags.keyFile); err != nil {
			c.note("chronik-wal: warning: " + err.Error())
		}
		opts = append(opts, wal.WithKeys(provider))
	}
	if c.flags.cipher == codec.ChaCha().Name() {
		opts = append(opts, wal.WithCipher(codec.ChaCha()))
	}
	sum, _ := format.ParseChecksum(c.flags.checksum)
	return append(opts, wal.WithChecksum(sum), wal.WithCodec(compress), wal.WithLogger(hclog.New(&hclog.LoggerOptions{
		Name: "chronik-wal", Level: hclog.LevelFromString(c.flags.logLevel), Output: c.Stderr,
	}))), nil
}

// openWriter opens the log for writing; it makes a missing one only if create is set. It says so, but
// for a directory that is there and empty: that was made for it, and not mistyped.
func (c *cli) openWriter(create bool) (*wal.Manager, error) {
	dir, err := c.dataDir()
	if err != nil {
		return nil, err
	}
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, wal.WithProgress(c.progress("recovering")))
	m, err := wal.Open(dir, append(opts, wal.WithMustExist())...)
	if !create || !errors.Is(err, wal.ErrNotLog) && !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	entries, listErr := os.ReadDir(dir)
	if m, err = wal.Open(dir, opts...); err == nil && (listErr != nil || len(entries) > 0) {
		c.note("chronik-wal: there was no log in " + dir + ": made a new one")
	}
	return m, err
}

// withReader opens the log read-only, whatever its damage, and closes it behind f.
func (c *cli) withReader(f func(*wal.Manager) error) error {
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	opts = append(opts, wal.WithReadOnly(), wal.WithAllowDamage(), wal.WithProgress(c.progress("opening")))
	m, err := wal.Open(dir, opts...)
	if err != nil {
		return err
	}
	return errors.Join(f(m), m.Close())
}

// damageError says in one line that a log is damaged, nil if it is not.
func damageError(damage []wal.Damage) error {
	if len(damage) == 0 {
		return nil
	}
	return &wal.DamageError{Damage: damage}
}

// topicFlags are the flags that name a partition.
type topicFlags struct {
	topic     string
	partition int32
}

func (f *topicFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.topic, "topic", "", "`name` of the topic")
	wholeFlag(cmd.Flags(), &f.partition, "partition", 0, 0, math.MaxInt32, "`number` of the partition (default 0)")
}

func (f *topicFlags) check() error {
	if f.topic == "" {
		return usagef("no topic: give --topic NAME")
	}
	return nil
}

// isFile reports whether a stream is a file of the operating system, and which.
func isFile(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && f != nil
}

// write sends what a command has to say to standard output.
func (c *cli) write(p []byte) error {
	_, err := c.Stdout.Write(p)
	return stdoutError(err)
}

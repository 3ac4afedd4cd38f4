package conformance

import (
	"flag"
	"os"
)

var (
	flagDir     = flag.String("conformance.dir", "", "where to test, a directory on the `file system` in question; default: the temporary one")
	flagSeed    = flag.Uint64("conformance.seed", 1, "`seed` of everything that is random, of the first workload of each crash layer too")
	flagRequire = flag.String("conformance.require", os.Getenv("CHRONIK_CONFORMANCE_REQUIRE"),
		"`layers`, comma-separated, that fail where they cannot run: backend, privilege, space, kill, strace, shutdown, fuse, block; default: the environment's CHRONIK_CONFORMANCE_REQUIRE")
	flagOnly     = flag.String("conformance.only", "", "`names`, comma-separated, of the checks and groups to run, like Crash or Dir/LockExcludes; default: all")
	flagStates   = flag.Int("conformance.states", 100, "how many states of a real kernel to reach, spread over the crash layers")
	flagCycles   = flag.Int("conformance.cycles", 2500, "how many times to open a log, append a message and close it")
	flagMessages = flag.Int("conformance.messages", 10_000, "how many messages each producer of the stress has, 4,000 at least")
)

package osdir

import "os"

// Make makes a directory and the missing ones above it. Windows has no mode; a directory in a
// user's profile is private by inheritance. Nor has it a way to make names durable. unmake leaves
// them where they are.
func Make(path string) (unmake func(), err error) { return func() {}, os.MkdirAll(path, 0o700) }

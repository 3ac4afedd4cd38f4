//go:build unix

package posix

// portable gives an error the name that the contract knows it by: here it has it.
func portable(err error) error { return err }

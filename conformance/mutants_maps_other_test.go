//go:build !linux

package conformance

func mappingMutants() []mutant { return nil }

func besideMutants() []mutant { return nil }

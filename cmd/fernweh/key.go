package main

import (
	"context"
	"errors"
	"fmt"

	"fernweh/serving/access"
)

// runKey makes, lists and takes away the keys of a data directory. The process
// that works in it sees the change with the next request. With print it makes one
// for the settings of a machine that keeps no data directory.
func runKey(_ context.Context, c *config, to console) error {
	task, err := keyTask(c.Args)
	if err != nil {
		return usage{err}
	}
	return task(c, to)
}

func keyTask(args []string) (func(*config, console) error, error) {
	verb, name := "", ""
	if len(args) > 0 {
		verb = args[0]
	}
	if len(args) == 2 {
		name = args[1]
		if err := access.CheckName(name); err != nil {
			return nil, err
		}
	}
	switch {
	case verb == "list" && len(args) == 1:
		return listKeys, nil
	case verb == "new" && len(args) == 2:
		return func(c *config, to console) error { return newKey(c, name, to) }, nil
	case verb == "remove" && len(args) == 2:
		return func(c *config, _ console) error { return removeKey(c, name) }, nil
	case verb == "print" && len(args) == 2:
		return func(_ *config, to console) error { showKey(name, access.NewKey(), to); return nil }, nil
	}
	return nil, errors.New("key: want new NAME, list, remove NAME, or print NAME for one that is kept in no data directory")
}

func newKey(c *config, name string, to console) error {
	if err := c.expectDirectory(0); err != nil {
		return err
	}
	key, err := access.AddKey(c.accessFolder(), name)
	if err == nil {
		showKey(name, key, to)
	}
	return err
}

func removeKey(c *config, name string) error {
	if err := c.expectDirectory(0); err != nil {
		return err
	}
	return access.RemoveKey(c.accessFolder(), name)
}

func showKey(name, key string, to console) {
	fmt.Fprintln(to.out, key)
	fmt.Fprintf(to.log, "this is the key %q, shown this once; what serve-admin-keys of another machine says of it:\n%s=%x\n",
		name, name, access.DigestOf(key))
}

func listKeys(c *config, to console) error {
	if err := c.expectDirectory(0); err != nil {
		return err
	}
	names, err := access.KeyNames(c.accessFolder())
	for _, name := range names {
		fmt.Fprintln(to.out, name)
	}
	return err
}

// firstKey makes the key of a laptop where there is none, and shows it.
func firstKey(c *config, keys *access.Keys, to console) error {
	if keys.Any() {
		return nil
	}
	key, err := access.AddKey(c.accessFolder(), "laptop")
	if err != nil {
		return err
	}
	fmt.Fprintf(to.out, "administrator's key, shown this once (fernweh key new makes another): %s\n", key)
	return nil
}

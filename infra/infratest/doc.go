// Package infratest holds the suites that every backend must pass, so that what
// runs on a laptop and what runs on servers keep one contract. A suite asks for
// nothing but the methods its interface names, leaves nothing behind that a
// later run would trip over, and works on a backend that others use meanwhile.
package infratest

package awstest

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// decimal is a DynamoDB number: up to 38 significant digits, magnitude from
// 1E-130 to 9.9…E+125, exact. It is coef × 10^exp with no trailing zero in coef.
type decimal struct {
	coef *big.Int // nil is zero
	exp  int
}

const (
	maxDigits = 38
	minScale  = -130
	maxScale  = 125
)

var numberSyntax = regexp.MustCompile(`^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$`)

func parseNumber(s string) (decimal, error) {
	if !numberSyntax.MatchString(s) {
		if s == "" {
			return decimal{}, validation("The parameter cannot be converted to a numeric value")
		}
		return decimal{}, validation("The parameter cannot be converted to a numeric value: " + s)
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	sign := ""
	if mantissa[0] == '-' || mantissa[0] == '+' {
		sign, mantissa = strings.TrimPrefix(mantissa[:1], "+"), mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return decimal{}, nil
	}
	exp := 0
	if exponent != "" {
		n, err := strconv.Atoi(exponent)
		if err != nil { // out of any range
			n = 1 << 20
			if exponent[0] == '-' {
				n = -n
			}
		}
		exp = n
	}
	exp -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	exp += len(digits) - len(trimmed)
	if err := checkNumber(len(trimmed), exp); err != nil {
		return decimal{}, err
	}
	coef, _ := new(big.Int).SetString(sign+trimmed, 10)
	return decimal{coef, exp}, nil
}

// checkNumber refuses what a number cannot hold: too large, too small, too
// precise.
func checkNumber(digits, exp int) error {
	switch scale := exp + digits - 1; {
	case scale > maxScale:
		return validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case scale < minScale:
		return validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	case digits > maxDigits:
		return validation("Attempting to store more than 38 significant digits in a Number")
	}
	return nil
}

func (d decimal) int() *big.Int {
	if d.coef == nil {
		return new(big.Int)
	}
	return d.coef
}

// align gives both coefficients at the smaller of the two exponents.
func align(a, b decimal) (x, y *big.Int, exp int) {
	exp = min(a.exp, b.exp)
	at := func(d decimal) *big.Int {
		ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.exp-exp)), nil)
		return ten.Mul(ten, d.int())
	}
	return at(a), at(b), exp
}

func (d decimal) compare(e decimal) int {
	x, y, _ := align(d, e)
	return x.Cmp(y)
}

func (d decimal) add(e decimal) (decimal, error) {
	x, y, exp := align(d, e)
	sum := x.Add(x, y)
	if sum.Sign() == 0 {
		return decimal{}, nil
	}
	return parseNumber(sum.String() + "e" + strconv.Itoa(exp))
}

func (d decimal) negated() decimal { return decimal{new(big.Int).Neg(d.int()), d.exp} }

// String writes the number as DynamoDB returns it: without exponent, leading or
// trailing zeros.
func (d decimal) String() string {
	if d.int().Sign() == 0 {
		return "0"
	}
	sign, digits := "", d.coef.String()
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	switch point := len(digits) + d.exp; {
	case d.exp >= 0:
		return sign + digits + strings.Repeat("0", d.exp)
	case point > 0:
		return sign + digits[:point] + "." + digits[point:]
	default:
		return sign + "0." + strings.Repeat("0", -point) + digits
	}
}

// size is what the number adds to an item: about a byte for two digits.
func (d decimal) size() int {
	n := 1
	if d.int().Sign() != 0 {
		digits := len(strings.TrimPrefix(d.coef.String(), "-"))
		n += (digits + 1) / 2
		if d.coef.Sign() < 0 {
			n++
		}
	}
	return n
}

package awstest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// writeInput is what PutItem, UpdateItem, DeleteItem and the actions of
// TransactWriteItems have in common.
type writeInput struct {
	TableName                           string
	Item                                item // Put
	Key                                 item // Update, Delete, ConditionCheck
	UpdateExpression                    *string
	ConditionExpression                 *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           map[string]value
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnConsumedCapacity              string
	ReturnItemCollectionMetrics         string // nothing to say: there are no local indexes
}

// write is a checked write, ready to be carried out.
type write struct {
	in        *writeInput
	table     *table
	key       item
	condition condition // nil if there is none
	update    *update   // nil unless it is one
	kind      string    // Put, Update, Delete, ConditionCheck
}

// prepare checks all of a write that does not depend on what is stored.
func (db *database) prepare(c *call, kind string, in *writeInput, returnable ...string) (*write, error) {
	t, err := db.table(c, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := oneOf("returnValues", in.ReturnValues, "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"); err != nil {
		return nil, err
	}
	if in.ReturnValues != "" && !slices.Contains(returnable, in.ReturnValues) {
		return nil, validation("ReturnValues can only be ALL_OLD or NONE")
	}
	if err := oneOf("returnValuesOnConditionCheckFailure", in.ReturnValuesOnConditionCheckFailure, "ALL_OLD", "NONE"); err != nil {
		return nil, err
	}
	if err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ConditionExpression, in.UpdateExpression); err != nil {
		return nil, err
	}
	w := &write{in: in, table: t, kind: kind}
	scope := newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if in.UpdateExpression != nil {
		if w.update, err = parseUpdate(*in.UpdateExpression, scope); err != nil {
			return nil, err
		}
	}
	if in.ConditionExpression != nil {
		if w.condition, err = parseCondition("ConditionExpression", *in.ConditionExpression, scope); err != nil {
			return nil, err
		}
	}
	if err := scope.unused(); err != nil {
		return nil, err
	}
	if kind == "Put" {
		if err := t.checkItem(in.Item, "Item size has exceeded the maximum allowed size"); err != nil {
			return nil, err
		}
		w.key = t.key(in.Item)
		return w, nil
	}
	if err := t.checkKey(in.Key); err != nil {
		return nil, err
	}
	w.key = in.Key
	if w.update != nil {
		for _, p := range w.update.paths() {
			if _, isKey := in.Key[p[0].name]; isKey {
				return nil, validation("One or more parameter values were invalid: Cannot update attribute " + p[0].name + ". This attribute is part of the key")
			}
		}
	}
	return w, nil
}

// oneOf refuses a value that is none of an enumeration's.
func oneOf(member, v string, enum ...string) error {
	if v == "" || slices.Contains(enum, v) {
		return nil
	}
	return validation(fmt.Sprintf("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", v, member, strings.Join(enum, ", ")))
}

// placeholders refuses placeholders without any expression to use them.
func placeholders(names map[string]string, values map[string]value, expressions ...*string) error {
	if names != nil && len(names) == 0 {
		return validation("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return validation("ExpressionAttributeValues must not be empty")
	}
	for k := range names {
		if !strings.HasPrefix(k, "#") || len(k) < 2 {
			return validation(fmt.Sprintf(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, k))
		}
	}
	for k := range values {
		if !strings.HasPrefix(k, ":") || len(k) < 2 {
			return validation(fmt.Sprintf(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, k))
		}
	}
	if slices.ContainsFunc(expressions, func(e *string) bool { return e != nil }) {
		return nil
	}
	if names != nil {
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	}
	if values != nil {
		return validation("ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")
	}
	return nil
}

// outcome is what a write would do to its item.
type outcome struct{ old, changed item }

var errCondition = dynamodbError("ConditionalCheckFailedException", "The conditional request failed")

// check finds the outcome without storing it.
func (db *database) check(w *write) (outcome, error) {
	old := db.get(w.table, w.key, true)
	if w.condition != nil && !w.condition.holds(old) {
		failed := *errCondition
		if w.in.ReturnValuesOnConditionCheckFailure == "ALL_OLD" && old != nil {
			failed.more = map[string]any{"Item": old}
		}
		return outcome{}, &failed
	}
	switch w.kind {
	case "Put":
		return outcome{old, w.in.Item}, nil
	case "Delete":
		return outcome{old, nil}, nil
	case "ConditionCheck":
		return outcome{old, old}, nil
	}
	base := old
	if base == nil {
		base = w.key
	}
	if w.update == nil {
		return outcome{old, base}, nil
	}
	changed, err := w.update.apply(base)
	if err == nil {
		err = w.table.checkItem(changed, "Item size to update has exceeded the maximum allowed size")
	}
	return outcome{old, changed}, err
}

func (db *database) store(w *write, o outcome) {
	if w.kind != "ConditionCheck" {
		db.put(w.table, w.key, o.changed)
	}
}

// writeOne carries out a write of its own.
func (db *database) writeOne(c *call, kind string, in *writeInput, returnable ...string) (any, error) {
	w, err := db.prepare(c, kind, in, returnable...)
	if err != nil {
		return nil, err
	}
	o, err := db.check(w)
	if err != nil {
		return nil, err
	}
	db.store(w, o)

	out := map[string]any{}
	give := func(it item) {
		if len(it) > 0 {
			out["Attributes"] = it
		}
	}
	switch in.ReturnValues {
	case "ALL_OLD":
		give(o.old)
	case "ALL_NEW":
		give(o.changed)
	case "UPDATED_OLD":
		if w.update != nil {
			give(project(o.old, w.update.paths()))
		}
	case "UPDATED_NEW":
		if w.update != nil {
			give(project(o.changed, w.update.paths()))
		}
	}
	capacity(out, in.ReturnConsumedCapacity, w.table, float64(units(max(o.old.size(), o.changed.size()), 1024)))
	return out, nil
}

// units is how many capacity units of that many bytes a size takes.
func units(size, unit int) int { return max(1, (size+unit-1)/unit) }

func capacity(out map[string]any, wanted string, t *table, n float64) {
	if wanted == "TOTAL" || wanted == "INDEXES" {
		out["ConsumedCapacity"] = map[string]any{"TableName": t.Name, "CapacityUnits": n}
	}
}

func (db *database) putItem(c *call, in *writeInput) (any, error) {
	if in.Key != nil || in.UpdateExpression != nil {
		return nil, notPlayed("Key or UpdateExpression in PutItem")
	}
	return db.writeOne(c, "Put", in, "NONE", "ALL_OLD")
}

func (db *database) deleteItem(c *call, in *writeInput) (any, error) {
	if in.Item != nil || in.UpdateExpression != nil {
		return nil, notPlayed("Item or UpdateExpression in DeleteItem")
	}
	return db.writeOne(c, "Delete", in, "NONE", "ALL_OLD")
}

func (db *database) updateItem(c *call, in *writeInput) (any, error) {
	if in.Item != nil {
		return nil, notPlayed("Item in UpdateItem")
	}
	return db.writeOne(c, "Update", in, "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
}

type transactItem struct {
	Put            *writeInput `json:",omitempty"`
	Update         *writeInput `json:",omitempty"`
	Delete         *writeInput `json:",omitempty"`
	ConditionCheck *writeInput `json:",omitempty"`
}

func (t transactItem) action() (kind string, in *writeInput, err error) {
	n := 0
	for k, w := range map[string]*writeInput{"Put": t.Put, "Update": t.Update, "Delete": t.Delete, "ConditionCheck": t.ConditionCheck} {
		if w != nil {
			kind, in, n = k, w, n+1
		}
	}
	switch {
	case n != 1:
		err = validation("TransactItems can only contain one of Check, Put, Update or Delete")
	case kind == "Update" && in.UpdateExpression == nil:
		err = validation("UpdateExpression is required for an Update in TransactItems")
	case kind == "ConditionCheck" && in.ConditionExpression == nil:
		err = validation("ConditionExpression is required for a ConditionCheck in TransactItems")
	}
	return kind, in, err
}

const (
	maxTransaction  = 100
	tokenKept       = 10 * time.Minute
	maxTransactSize = 4 << 20
)

func (db *database) transactWriteItems(c *call, in *struct {
	TransactItems               []transactItem
	ClientRequestToken          string
	ReturnConsumedCapacity      string `json:",omitempty"`
	ReturnItemCollectionMetrics string `json:",omitempty"`
},
) (any, error) {
	if n := len(in.TransactItems); n == 0 || n > maxTransaction {
		bound := "greater than or equal to 1"
		if n > 0 {
			bound = "less than or equal to 100"
		}
		return nil, validation("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length " + bound)
	}
	var (
		writes []*write
		seen   = map[string]bool{}
	)
	for _, t := range in.TransactItems {
		kind, action, err := t.action()
		if err != nil {
			return nil, err
		}
		w, err := db.prepare(c, kind, action)
		if err != nil {
			return nil, err
		}
		_, both := w.table.id(w.key)
		if id := w.table.Name + "\x00" + both; seen[id] {
			return nil, validation("Transaction request cannot include multiple operations on one item")
		} else {
			seen[id] = true
		}
		writes = append(writes, w)
	}

	now := db.opts.Now()
	request, _ := json.Marshal(in.TransactItems) // decoded a moment ago
	sum := sha256.Sum256(request)
	if done, ok := db.tokens[in.ClientRequestToken]; ok && in.ClientRequestToken != "" && now.Sub(done.at) < tokenKept {
		if done.request != sum {
			return nil, dynamodbError("IdempotentParameterMismatchException", "The request was rejected because a retry token was reused with different parameters")
		}
		return map[string]any{}, nil
	}

	outcomes, reasons, failed, size := make([]outcome, len(writes)), make([]map[string]any, len(writes)), false, 0
	for i, w := range writes {
		o, err := db.check(w)
		outcomes[i], size = o, size+o.changed.size()
		reasons[i] = map[string]any{"Code": "None"}
		var e *apiError
		if errors.As(err, &e) {
			failed = true
			reasons[i] = map[string]any{"Code": "ValidationError", "Message": e.message}
			if e.code == errCondition.code {
				reasons[i]["Code"] = "ConditionalCheckFailed"
			}
			for k, v := range e.more {
				reasons[i][k] = v
			}
		}
	}
	if failed {
		codes := make([]string, len(reasons))
		for i, r := range reasons {
			codes[i] = fmt.Sprint(r["Code"])
		}
		e := dynamodbError("TransactionCanceledException",
			"Transaction cancelled, please refer cancellation reasons for specific reasons ["+strings.Join(codes, ", ")+"]")
		e.more = map[string]any{"CancellationReasons": reasons}
		return nil, e
	}
	if size > maxTransactSize {
		return nil, validation("Collection size of items in TransactItems has exceeded the maximum allowed size")
	}
	for i, w := range writes {
		db.store(w, outcomes[i])
	}
	if in.ClientRequestToken != "" {
		db.tokens[in.ClientRequestToken] = transaction{sum, now}
	}
	return map[string]any{}, nil
}

"use strict";

const test = require("node:test");
const assert = require("node:assert");
const { daysInMonth } = require("../src/month.js");

test("January has 31 days and April has 30", () => {
  assert.strictEqual(daysInMonth(2026, 1), 31);
  assert.strictEqual(daysInMonth(2026, 4), 30);
});

test("February has 29 days in leap years only", () => {
  assert.strictEqual(daysInMonth(2024, 2), 29);
  assert.strictEqual(daysInMonth(2026, 2), 28);
});

test("December has 31 days", () => {
  assert.strictEqual(daysInMonth(2026, 12), 31);
});

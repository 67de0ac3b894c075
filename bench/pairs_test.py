#!/usr/bin/python3
"""What pairs.py promises."""
import math
import unittest

from pairs import CONFIDENCE, is_settled, median_interval, run_pairs


class Interval(unittest.TestCase):
    def test_as_tabulated_for_the_sign_test(self):
        # Smallest and largest ranks that hold the median with 90 % or more, for n = 4 to 12, 15, 20 and 25.
        expected = {4: None, 5: 1, 6: 1, 7: 1, 8: 2, 9: 2, 10: 2, 11: 3, 12: 3, 15: 4, 20: 6, 25: 8}
        for count, rank in expected.items():
            found = median_interval(range(1, count + 1))
            self.assertEqual(found, None if rank is None else (rank, count + 1 - rank), count)

    def test_holds_the_median_as_often_as_it_says_and_no_narrower_one_does(self):
        for count in range(5, 60):
            low, high = median_interval(range(1, count + 1))
            self.assertEqual(low + high, count + 1)
            holds = lambda rank: 1 - 2 * sum(math.comb(count, i) for i in range(rank)) / 2 ** count
            self.assertGreaterEqual(holds(low), CONFIDENCE)
            self.assertLess(holds(low + 1), CONFIDENCE)

    def test_order_does_not_matter(self):
        self.assertEqual(median_interval([5, 1, 4, 2, 3]), (1, 5))


class Pairs(unittest.TestCase):
    def run_on(self, ratios, target, most):
        asked = []

        def measure(number):
            asked.append(number)
            return 100, 100 * ratios[number]

        return run_pairs(measure, target, most, lambda text: None), asked

    def test_ends_as_soon_as_all_is_clear(self):
        for ratio in (0.5, 0.9):
            (baseline, value, median), asked = self.run_on([ratio] * 21, 0.85, 21)
            self.assertEqual(asked, [0, 1, 2, 3, 4])
            self.assertEqual(baseline, 100)
            self.assertAlmostEqual(value, 100 * ratio)
            self.assertAlmostEqual(median, ratio)

    def test_the_target_itself_is_met(self):
        self.assertTrue(is_settled([0.85] * 5, 0.85))
        self.assertFalse(is_settled([0.85] * 4 + [0.84], 0.85))

    def test_goes_on_while_it_is_not_and_ends_with_the_most_that_one_waits_for(self):
        (_, _, median), asked = self.run_on([0.8, 0.9] * 11, 0.85, 21)
        self.assertEqual(len(asked), 21)
        self.assertAlmostEqual(median, 0.8)

    def test_one_pair_is_never_settled_and_is_all_that_is_run_if_one_asks_for_one(self):
        self.assertFalse(is_settled([0.9], 0.85))
        self.assertEqual(self.run_on([0.9], 0.85, 1)[1], [0])


if __name__ == "__main__":
    unittest.main()

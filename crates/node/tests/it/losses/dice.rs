//! Chance that is the same in every run: xorshift64*.

#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Those of one part of the test.
    pub(super) fn of(seed: u64, part: u64) -> Self {
        let mut dice = Self((seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        // Neighbours begin alike.
        for _ in 0..8 {
            dice.below(1);
        }
        dice
    }

    /// A number below `most`.
    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % most
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

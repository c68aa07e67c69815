//! Which packets are looked at.

/// One in so many, on average, and not every so many-th: traffic may have a beat. (Marsaglia's generator, period 2³² - 1.)
pub(super) struct Sample {
    of: u32,
    until: u32,
    chance: u32,
}

impl Sample {
    pub(super) fn one_of(of: u32) -> Self {
        Self { of, until: of, chance: 0x9e37_79b9 }
    }

    /// Whether the next packet need not be looked at, which then has been.
    #[inline]
    pub(super) fn passes_over(&mut self) -> bool {
        if self.until <= 1 {
            return false;
        }
        self.until -= 1;
        true
    }

    /// Whether the next packet is to be looked at.
    #[inline]
    pub(super) fn is_due(&mut self) -> bool {
        if self.passes_over() {
            return false;
        }
        self.draw();
        true
    }

    #[cold]
    fn draw(&mut self) {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 17;
        self.chance ^= self.chance << 5;
        self.until = self.of / 2 + self.chance % self.of + 1;
    }

    /// The next packet is.
    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        self.until = 1;
    }
}

"""A simulated MPU-6886, or another of its kin by identity: acceleration in mg, rate in degree/s / 10."""

from sensewell_sim.bus import Simulated, near

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_GYRO_CONFIG = const(0x1B)
_ACCEL_CONFIG = const(0x1C)
_INT_ENABLE = const(0x38)
_INT_STATUS = const(0x3A)
_ACCEL = const(0x3B)
_GYRO = const(0x43)
_PWR_MGMT_1 = const(0x6B)
_WHO_AM_I = const(0x75)
_SLEEP = const(0x40)


class Mpu6886(Simulated):
    """who: of WHO_AM_I, 0x19, or 0x68 for the MPU-6050, 0x70 for the MPU-6500. levels: ax ay az in mg, gx gy gz in
    0.1 degree/s."""

    IDENTITY = _WHO_AM_I
    n_channels = 6

    def __init__(self, address=0x68, who=0x19, levels=(20, -30, 1000, 5, -5, 10), noise=15):
        self.who = who
        # asleep; factory values of the self-test: code 100 each, or the 6050's 16
        codes = (0x0D, 0x90, 0x0E, 0x90, 0x0F, 0x90, 0x10, 0)
        if who != 0x68:
            at = 0x50 if who == 0x19 else 0
            codes = (at, 100, at + 1, 100, at + 2, 100, 0x0D, 100, 0x0E, 100, 0x0F, 100)
        self.POWER_UP = bytes((_WHO_AM_I, who, _PWR_MGMT_1, 0x40 if who == 0x68 else 0x41) + codes)
        super().__init__(address, levels, noise)

    def _before_read(self, register, n):
        if register > _GYRO + 5 or register + n <= _INT_STATUS:
            return
        r = self.registers
        if r[_PWR_MGMT_1] & _SLEEP:
            return
        if self.due(1000):
            self.measure()
            r[_INT_STATUS] = r[_INT_ENABLE] & 1
            shift = r[_ACCEL_CONFIG] >> 3 & 3
            test = r[_ACCEL_CONFIG] >> 5
            i = 0
            while i < 3:
                value = self.out[i] * 16384 // 1000 >> shift
                if test:
                    value += 2291 if self.who == 0x68 else 7016 >> shift
                self.big(_ACCEL + 2 * i, near(value))
                i += 1
            shift = r[_GYRO_CONFIG] >> 3 & 3
            test = r[_GYRO_CONFIG] >> 5
            while i < 6:
                value = self.out[i] * 131 // 10 >> shift
                if test:
                    push = 6429 if self.who == 0x68 else 7016
                    value += (0 - push if self.who == 0x68 and i == 4 else push) >> shift
                self.big(_GYRO + 2 * i - 6, near(value))
                i += 1

    def _after_read(self, register, n):
        if register <= _INT_STATUS < register + n:
            self.registers[_INT_STATUS] = 0

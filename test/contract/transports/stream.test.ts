import { streamDriver } from '../../drivers/http.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({ driver: streamDriver });
